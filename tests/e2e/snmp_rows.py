"""The program behind snmpd's pass_persist (snmpd.conf): a column whose rows are the lines of a file, read each time."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def answers(column: str, rows: Path, lines: Iterator[str]) -> Iterable[str]:
    for command in lines:
        if command not in {"get", "getnext"}:
            yield "PONG"
            continue
        names = rows.read_text().splitlines()
        asked = next(lines).removeprefix(f".{column}").strip(".")
        number = int(asked.partition(".")[0] or 0) + (command == "getnext")
        found = 1 <= number <= len(names) and (command == "getnext" or asked == str(number))
        yield f".{column}.{number}\nstring\n{names[number - 1]}" if found else "NONE"


if __name__ == "__main__":
    for answer in answers(sys.argv[1], Path(sys.argv[2]), (line.strip() for line in sys.stdin)):
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
