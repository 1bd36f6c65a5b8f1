"""Plans: applying one and planning again gives nothing, whatever a router has, and others' rows are as they were."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from planned_router import PlannedRouter

from provisioning.routeros.client import Row
from provisioning.routeros.planning import Add, Change, Desired, Move, Place, Remove, Setting, Wanted, make_plan
from provisioning.routeros.planning.desired import mark_in
from provisioning.routeros.schema import Release

V7 = Release(7, 18)
POOLS, PROFILES, SECRETS, FILTER, RADIUS = (
    "/ip/pool", "/ppp/profile", "/ppp/secret", "/ip/firewall/filter", "/radius",
)  # fmt: skip
NAMES = st.sampled_from("abcde")


def desired(*rows: Wanted, settings: Sequence[Setting] = (), families: str = "ours", menus: str = "") -> Desired:
    named = {row.menu for row in rows} | set(menus.split())
    return Desired(rows, tuple(settings), frozenset(families.split()), frozenset(named))


def secret(name: str, **values: str | None) -> Wanted:
    return Wanted(SECRETS, f"ours/{name}", {"name": name, **values})


def rule(name: str, place: Place = Place.FIRST, chain: str = "forward", **values: str) -> Wanted:
    return Wanted(FILTER, f"ours/{name}", {"chain": chain, "action": "accept", **values}, place)


def with_ids(*rows: dict[str, str]) -> list[Row]:
    return [{".id": f"*{number:X}", **row} for number, row in enumerate(rows, 1)]


def test_a_row_is_known_by_its_mark_and_by_nothing_like_it() -> None:
    actual = with_ids(
        {"chain": "forward", "action": "drop", "comment": "provedor:ours/a", "protocol": "tcp"},
        {"chain": "forward", "action": "accept"},
    )
    plan = make_plan(desired(rule("a", protocol="udp")), {FILTER: actual}, V7, {})
    assert plan.steps == (
        Change(FILTER, "*1", actual[0], {"action": "accept", "protocol": "udp"},
               {"action": "drop", "protocol": "tcp"}),
    )  # fmt: skip


def test_a_name_that_somebody_else_gave_is_a_problem_and_is_not_touched() -> None:
    actual = with_ids({"name": "ana", "password": "his"})
    plan = make_plan(desired(secret("ana", password="ours")), {SECRETS: actual}, V7, {})
    assert not plan.steps
    assert [(one.menu, one.what) for one in plan.problems] == [(SECRETS, "ana")]


def test_a_row_of_ours_that_is_not_wanted_goes_and_one_of_another_family_stays() -> None:
    actual = with_ids(
        {"name": "ana", "comment": "provedor:ours/ana"}, {"name": "bia", "comment": "provedor:theirs/bia"},
        {"name": "carlos"},
    )  # fmt: skip
    plan = make_plan(desired(menus=SECRETS), {SECRETS: actual}, V7, {})
    assert [(type(step), step.row_id) for step in plan.steps if isinstance(step, Remove)] == [(Remove, "*1")]
    assert len(plan.steps) == 1


def test_where_a_menu_has_no_comments_what_we_remember_is_ours() -> None:
    actual = with_ids({"name": "a", "rate-limit": "1M/1M"}, {"name": "b"})
    wanted = Wanted(PROFILES, "ours/a", {"name": "a", "rate-limit": None})
    owned = {(PROFILES, ("a",)): "ours/a", (PROFILES, ("b",)): "ours/b"}
    plan = make_plan(desired(wanted), {PROFILES: actual}, Release(6, 49), owned)
    assert [type(step) for step in plan.steps] == [Change, Remove]
    assert isinstance(plan.steps[0], Change)
    assert plan.steps[0].values == {"rate-limit": None}


def test_nothing_that_we_remember_makes_a_row_without_a_name_ours() -> None:
    """Rules have no key: what was remembered of one would be true of every other."""
    actual = with_ids({"chain": "forward", "action": "drop", "comment": "his"})
    remembered = {(FILTER, ()): "ours/a"}
    plan = make_plan(desired(rule("a")), {FILTER: actual}, V7, remembered)
    assert [type(step) for step in plan.steps] == [Add]
    assert not make_plan(desired(menus=FILTER), {FILTER: actual}, V7, remembered)


def test_values_that_are_the_same_are_not_changed() -> None:
    actual = with_ids(
        {"service": "login,ppp", "address": "192.0.2.1", "timeout": "1s", "disabled": "false",
         "comment": "provedor:ours/1"},
    )  # fmt: skip
    values = {"service": "ppp,login", "address": "192.0.2.1/32", "timeout": "00:00:01", "disabled": "no",
              "accounting-port": "1813", "secret": "not shown", "realm": None}  # fmt: skip
    assert not make_plan(desired(Wanted(RADIUS, "ours/1", values)), {RADIUS: actual}, V7, {})


def test_what_a_release_does_not_know_is_a_problem_only_where_it_matters() -> None:
    values = {"require-message-auth": "no", "radsec-timeout": "3s300ms", "address": "192.0.2.1"}
    plan = make_plan(desired(Wanted(RADIUS, "ours/1", values)), {RADIUS: []}, Release(7, 12), {})
    assert plan.steps == (Add(RADIUS, "ours/1", {"address": "192.0.2.1", "comment": "provedor:ours/1"}, None),)
    assert [one.what for one in plan.problems] == ["require-message-auth"]


def test_what_others_use_is_kept_and_said() -> None:
    actual = {
        POOLS: with_ids({"name": "old", "ranges": "192.0.2.0/28", "comment": "provedor:ours/old"}),
        PROFILES: with_ids({"name": "his", "remote-address": "old"}),
    }
    plan = make_plan(desired(menus=f"{POOLS} {PROFILES}"), actual, V7, {})
    assert not plan.steps
    assert plan.problems[0].detail == "still used by /ppp/profile his, which stays"


def test_settings_come_when_what_they_switch_on_is_there() -> None:
    wanted = desired(
        Wanted(RADIUS, "ours/1", {"address": "192.0.2.1"}),
        settings=[Setting("/ppp/aaa", {"use-radius": "yes", "interim-update": "5m"})],
    )
    plan = make_plan(wanted, {RADIUS: [], "/ppp/aaa": [{"use-radius": "false", "interim-update": "0s"}]}, V7, {})
    assert [type(step) for step in plan.steps] == [Add, Change]
    assert plan.steps[1] == Change(
        "/ppp/aaa", None, {"use-radius": "false", "interim-update": "0s"},
        {"use-radius": "yes", "interim-update": "5m"}, {"use-radius": "false", "interim-update": "0s"},
    )  # fmt: skip


@st.composite
def pool_profile_secret(draw: st.DrawFn) -> tuple[dict[str, list[Row]], Desired]:
    """Any start, and any end: names are few, so they meet."""
    actual: dict[str, list[Row]] = {POOLS: [], PROFILES: [], SECRETS: []}
    fields = {POOLS: None, PROFILES: ("remote-address", POOLS), SECRETS: ("profile", PROFILES)}
    for menu, reference in fields.items():
        for name in sorted(draw(st.sets(NAMES))):
            row = {".id": f"*{menu}{name}", "name": name}
            mark = draw(st.sampled_from([None, f"ours/{name}", "ours/x", "theirs/y"]))
            row |= {} if mark is None else {"comment": f"provedor:{mark}"}
            if reference is not None and (names := [one["name"] for one in actual[reference[1]]]):
                row[reference[0]] = draw(st.sampled_from(names))
            actual[menu].append(row)
    rows: list[Wanted] = []
    for menu, reference in fields.items():
        for name in sorted(draw(st.sets(NAMES))):
            values: dict[str, str | None] = {"name": name}
            taken = [one["name"] for one in actual[menu] if mark_in(one.get("comment", "")) is None]
            if name in taken:
                continue  # somebody else's
            if reference is not None:
                names = [row.values["name"] for row in rows if row.menu == reference[1]]
                values[reference[0]] = draw(st.sampled_from([*names, None]))
            rows.append(Wanted(menu, f"ours/{name}", values))
    return actual, desired(*rows, menus=" ".join(actual))


@given(pool_profile_secret())
def test_any_rows_come_to_what_is_wanted_and_stay_there(case: tuple[dict[str, list[Row]], Desired]) -> None:
    actual, wanted = case
    before = copy.deepcopy(actual)
    _apply_and_check(actual, wanted)
    for menu, rows in before.items():
        others = [row for row in rows if mark_in(row.get("comment", "")) is None]
        assert [row for row in actual[menu] if row in others] == others


def _apply_and_check(actual: dict[str, list[Row]], wanted: Desired) -> None:
    router = PlannedRouter(actual)
    plan = make_plan(wanted, actual, V7, {})
    for step in plan.steps:
        router.apply(step)
    again = make_plan(wanted, actual, V7, {})
    assert again.steps == ()
    assert [one.detail for one in again.problems] == [one.detail for one in plan.problems]


@st.composite
def filter_rules(draw: st.DrawFn) -> tuple[list[Row], list[Wanted]]:
    kinds = draw(st.lists(st.sampled_from(["other", "dynamic", *"abcdef"]), max_size=9))
    rows = []
    for number, kind in enumerate(kinds):
        row = {".id": f"*{number}", "chain": draw(st.sampled_from(["forward", "input"])), "action": "accept"}
        row |= {"dynamic": "true"} if kind == "dynamic" else {}
        row |= {"comment": f"provedor:ours/{kind}"} if len(kind) == 1 else {}
        rows.append(row)
    order = draw(st.permutations("abcdef"))[: draw(st.integers(0, 6))]
    wanted = [rule(name, draw(st.sampled_from(Place)), draw(st.sampled_from(["forward", "input"]))) for name in order]
    return rows, wanted


@given(filter_rules())
def test_any_order_becomes_the_wanted_one_and_others_keep_theirs(case: tuple[list[Row], list[Wanted]]) -> None:
    rows, wanted = case
    others = [row[".id"] for row in rows if "comment" not in row]
    actual = {FILTER: rows}
    _apply_and_check(actual, desired(*wanted, menus=FILTER))
    assert [row[".id"] for row in rows if "comment" not in row] == others
    for chain in ("forward", "input"):
        static = [row for row in rows if row["chain"] == chain and "dynamic" not in row]
        free = {one.comment for one in wanted if one.place is Place.ANYWHERE}
        comments = [row.get("comment", "provedor:others/") for row in static]
        marks = [comment.removeprefix("provedor:ours/") for comment in comments if comment not in free]
        first, last = ([one.mark or "" for one in wanted if one.place is place and one.values["chain"] == chain]
                       for place in (Place.FIRST, Place.LAST))  # fmt: skip
        expected = [mark.removeprefix("ours/") for mark in first]
        expected += [mark for mark in marks if mark == "provedor:others/"]
        expected += [mark.removeprefix("ours/") for mark in last]
        assert marks == expected


@given(st.permutations("abcde"), st.permutations("abcde"))
def test_the_moves_are_the_fewest(standing: Sequence[str], wanted: Sequence[str]) -> None:
    rows = with_ids(*({"chain": "forward", "action": "accept", "comment": f"provedor:ours/{name}"}
                      for name in standing))  # fmt: skip
    plan = make_plan(desired(*map(rule, wanted)), {FILTER: rows}, V7, {})
    moves = [step for step in plan.steps if isinstance(step, Move)]
    places = [wanted.index(name) for name in standing]
    longest = max(len(run) for length in range(6) for run in itertools.combinations(places, length)
                  if list(run) == sorted(run))  # fmt: skip
    assert len(moves) == len(plan.steps) == len(standing) - longest


def test_a_rule_that_changes_its_chain_goes_to_its_place_there() -> None:
    rows = with_ids(
        {"chain": "input", "action": "accept", "comment": "provedor:ours/a"}, {"chain": "forward", "action": "drop"}
    )
    _apply_and_check({FILTER: rows}, desired(rule("a")))
    assert [row["chain"] for row in rows] == ["forward", "forward"]
