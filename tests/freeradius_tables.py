"""A FreeRADIUS database as its own PostgreSQL schema makes it, for who reads or writes one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

SCHEMA = """
CREATE SCHEMA IF NOT EXISTS old;
SET search_path TO old;
CREATE TABLE radcheck (id serial PRIMARY KEY, UserName text NOT NULL DEFAULT '', Attribute text NOT NULL DEFAULT '',
  op varchar(2) NOT NULL DEFAULT '==', Value text NOT NULL DEFAULT '');
CREATE TABLE radreply (LIKE radcheck INCLUDING ALL);
CREATE TABLE radgroupcheck (id serial PRIMARY KEY, GroupName text NOT NULL DEFAULT '',
  Attribute text NOT NULL DEFAULT '', op varchar(2) NOT NULL DEFAULT '==', Value text NOT NULL DEFAULT '');
CREATE TABLE radgroupreply (LIKE radgroupcheck INCLUDING ALL);
CREATE TABLE radusergroup (id serial PRIMARY KEY, UserName text NOT NULL DEFAULT '', GroupName text NOT NULL DEFAULT '',
  priority integer NOT NULL DEFAULT 0);
CREATE TABLE nas (id serial PRIMARY KEY, nasname text NOT NULL, shortname text NOT NULL,
  type text NOT NULL DEFAULT 'other', ports integer, secret text NOT NULL, server text, community text,
  description text);
CREATE TABLE radacct (RadAcctId bigserial PRIMARY KEY, AcctSessionId text NOT NULL, AcctUniqueId text NOT NULL UNIQUE,
  UserName text, Realm text, NASIPAddress inet NOT NULL, NASPortId text, NASPortType text,
  AcctStartTime timestamp with time zone, AcctUpdateTime timestamp with time zone,
  AcctStopTime timestamp with time zone, AcctInterval bigint, AcctSessionTime bigint, AcctAuthentic text,
  ConnectInfo_start text, ConnectInfo_stop text, AcctInputOctets bigint, AcctOutputOctets bigint, CalledStationId text,
  CallingStationId text, AcctTerminateCause text, ServiceType text, FramedProtocol text, FramedIPAddress inet,
  FramedIPv6Address inet, FramedIPv6Prefix inet, FramedInterfaceId text, DelegatedIPv6Prefix inet, Class text);
"""


class OldDatabase:
    """In a schema of the database at `url`."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dold"
        self.connection: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self.connection.execute(SCHEMA)

    def user(self, name: str, *checks: tuple[str, str, str], groups: Iterable[str] = ("home",)) -> None:
        for attribute, op, value in checks or (("Cleartext-Password", ":=", f"pw-{name.strip().lower()}"),):
            self.insert("radcheck", username=name, attribute=attribute, op=op, value=value)
        for priority, group in enumerate(groups):
            self.insert("radusergroup", username=name, groupname=group, priority=priority)

    def reply(self, name: str, attribute: str, value: str, op: str = "=") -> None:
        self.insert("radreply", username=name, attribute=attribute, op=op, value=value)

    def group(self, name: str, *replies: tuple[str, str, str]) -> None:
        for attribute, op, value in replies:
            self.insert("radgroupreply", groupname=name, attribute=attribute, op=op, value=value)

    def insert(self, table: str, **values: Any) -> None:
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))

    def close(self) -> None:
        """The database is as it was, so that the next test need not have another."""
        self.connection.execute("DROP SCHEMA old CASCADE")
        self.connection.close()
