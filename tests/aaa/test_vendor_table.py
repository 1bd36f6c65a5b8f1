"""The tables of docs/radius.md are what the adapters do."""

from __future__ import annotations

from pathlib import Path

from aaa.vendors.table import markdown

PAGE = Path(__file__).parents[2] / "docs" / "radius.md"


def test_the_page_says_what_the_adapters_do() -> None:
    """Otherwise put what `provedor radius vendors` prints between the two marks."""
    page = PAGE.read_text()
    written = page.partition("<!-- vendors -->\n")[2].partition("<!-- end of vendors -->")[0]
    assert written == markdown()


def test_every_row_of_every_box_is_there_and_an_empty_cell_means_no_attribute() -> None:
    boxes = markdown().split("\n### ")[1:]
    mikrotik = next(box for box in boxes if box.startswith("mikrotik"))
    assert "| `rates` | `Mikrotik-Rate-Limit = 50000k/200000k` | CoA |" in mikrotik
    assert "| `vrf` |  |  |" in mikrotik
    assert "| `interim_seconds` | `Acct-Interim-Interval = 600` | at the next login |" in mikrotik
    assert "| walled garden | `Mikrotik-Address-List = walled-garden` | new login |" in mikrotik
