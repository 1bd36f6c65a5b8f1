"""The simulated BRAS as a process of its own, which tells on stdout what happened on its wire, one JSON line each.

    {"login", "asked", "answered", "code"}   a CoA (43) or Disconnect (40) arrived, and its answer left
    {"login", "dialed"}                      a CPE dials
    {"login", "online"}                      its Access-Accept arrived

Times are CLOCK_MONOTONIC in seconds, which all processes of a machine share.
"""

from __future__ import annotations

import json
import sys
import time

from aaa.bras import Box, BoxOptions, Credential, Runner
from aaa.bras.subscriber import Subscriber
from aaa.packet import Kind, parse
from bench import seed
from bench.node import ACCT_PORT, AUTH_PORT, COA_PORT
from provedor.cli.simulate import run_until_signal

LOGINS_PER_S = 500.0


def main(subscribers: int, redial_s: tuple[float, float]) -> None:
    credentials = [Credential(seed.login(number), f"pass{number:07d}") for number in range(subscribers)]
    runner = Runner(
        BoxOptions(redial_s=redial_s, ramp=LOGINS_PER_S), credentials, server="127.0.0.1", auth_port=AUTH_PORT,
        acct_port=ACCT_PORT, coa_port=COA_PORT, control=None,
    )  # fmt: skip
    watch(runner.box)
    run_until_signal(runner, lambda _: None)


def watch(box: Box) -> None:
    """Put a clock beside what the box does."""
    receive, receive_dynamic, dial = box.receive, box.receive_dynamic, box.dial

    def timed_dynamic(source: object, octets: bytes, now: float) -> bytes | None:
        asked = time.monotonic()
        answer = receive_dynamic(source, octets, now)
        tell(login=parse(octets).text(Kind.USER_NAME), asked=asked, answered=time.monotonic(), code=octets[0])
        return answer

    def timed_receive(port: int, accounting: bool, octets: bytes, now: float) -> None:
        online = box.online
        receive(port, accounting, octets, now)
        if box.online > online:
            tell(login=next(reversed(box.by_session.values())).login, online=time.monotonic())

    def timed_dial(subscriber: Subscriber, now: float) -> None:
        if subscriber.logins:
            tell(login=subscriber.login, dialed=time.monotonic())
        dial(subscriber, now)

    box.receive, box.receive_dynamic, box.dial = timed_receive, timed_dynamic, timed_dial  # type: ignore[method-assign]


def tell(**event: float | str | None) -> None:
    print(json.dumps(event), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), (float(sys.argv[2]), float(sys.argv[3])))
