"""Every command says what it is for, by its whole path and alone, as a person asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from provedor.cli.app import COMMANDS, make_app


def _paths(command: object, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from _paths(below, *words, name)


PATHS = sorted(_paths(get_command(make_app([]))))


@pytest.mark.parametrize("words", PATHS, ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(make_app(words), [*words, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    usage, said, *_ = [line.strip() for line in done.output.splitlines() if line.strip()]
    assert " ".join(words) in usage
    assert said[0].isalpha(), "nothing is said of it before its options"


def test_all_of_them_are_listed() -> None:
    assert {words[0] for words in PATHS if words} == set(COMMANDS)
    assert len(PATHS) > 80
