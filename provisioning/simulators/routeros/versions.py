"""Releases that are played: one for each way in which the API or what we ask of it behaves."""

from __future__ import annotations

from enum import StrEnum

from provisioning.routeros.schema import Release


class Version(StrEnum):
    """6.42 is the last with the login by challenge."""

    V6_42 = "6.42"
    V6_49 = "6.49"
    V7_12 = "7.12"
    V7_18 = "7.18"
    V7_22 = "7.22"
    V7_23 = "7.23"

    @classmethod
    def nearest(cls, release: Release) -> Version:
        """The first that knows what this release knows; of later releases the newest."""
        return next((one for one in cls if one.release[:2] >= release[:2]), list(cls)[-1])

    @property
    def release(self) -> Release:
        return Release.parse(self)

    @property
    def logs_in_by_challenge(self) -> bool:
        """6.43 brought the plain login, and its routers keep no password that a challenge could be answered with."""
        return self.release < (6, 43)

    @property
    def says_empty(self) -> bool:
        """`!empty` before `!done` where there is nothing to return."""
        return self.release >= (7, 18)

    @property
    def has_safe_mode(self) -> bool:
        """Over the API."""
        return self.release >= (7, 18)

    @property
    def has_device_mode(self) -> bool:
        return self.release >= (7, 17)

    @property
    def reads_files(self) -> bool:
        """/file/read, and /file/add with it."""
        return self.release >= (7, 13)

    @property
    def imports_dry(self) -> bool:
        return self.release >= (7, 16)

    @property
    def iso_dates(self) -> bool:
        return self.release >= (7, 10)

    @property
    def slash_paths(self) -> bool:
        """`/ip/address/add` in scripts; 6 knows `/ip address add` only."""
        return self.release >= (7, 0)

    @property
    def hides_secrets_in_exports(self) -> bool:
        """From 7 on, unless told to show them; 6 shows them, unless told to hide them."""
        return self.release >= (7, 0)
