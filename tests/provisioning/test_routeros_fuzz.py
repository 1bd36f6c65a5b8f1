"""Whatever is said to the simulated router, it answers or refuses; and what it took comes back from its export."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from routeros_boxes import PASSWORD, USER, Clock, lone_router, rows

from provisioning.routeros.schema import MENUS, Field, Kind, MenuSchema
from provisioning.simulators.routeros import SYSTEM, Router, Version
from provisioning.simulators.routeros.command import Command
from provisioning.simulators.routeros.dialogue import Dialogue, Wait
from provisioning.simulators.routeros.errors import Refused
from provisioning.simulators.routeros.words import Decoder, encode_sentence

VERBS = st.sampled_from([
    "print", "getall", "get", "add", "set", "unset", "remove", "enable", "disable", "comment", "move", "export", "run",
    "reset-counters", "read", "save", "take", "listen",
])  # fmt: skip
PATHS = st.sampled_from([*MENUS, "/ppp", "/file", "/log", "/system", "/safe-mode", "/simulate/faults", "", "/x"])
VALUES = st.sampled_from([
    "", "yes", "no", "0", "-1", "7", "10.0.0.1", "10.0.0.0/24", "10.0.0.1-10.0.0.9", "::1", "1M/2M", "5m", "1d", "none",
    "*1", "*0", "*FFFFFFFE", "*", "*x", "name", "default", "ether1", "a,b", "!x", "startup", "éç", '"', "$x", "[find]",
    "\udce9", "99999999999999999999", "1w" * 40, "accept", "forward", "auto",
]) | st.text(max_size=8)  # fmt: skip
FIELDS = st.sampled_from([
    *sorted({name for menu in MENUS.values() for name in menu.fields}), ".id", "numbers", "destination", "place-before",
    "value-name", "!comment", ".proplist", "count-only", "from", "file", "file-name", "contents", "offset",
    "chunk-size", "kind", "x",
])  # fmt: skip
ARGUMENTS = st.dictionaries(FIELDS, VALUES, max_size=5)
LIKELY = st.sampled_from(sorted(MENUS)).flatmap(
    lambda path: st.tuples(
        st.just(path),
        st.sampled_from(["add", "set", "remove", "move", "print"]),
        st.dictionaries(st.sampled_from([*sorted(MENUS[path].fields), "numbers"]), VALUES, max_size=6),
    )
)
COMMANDS = LIKELY | st.tuples(PATHS, VERBS, ARGUMENTS)


def answer(router: Router, path: str, verb: str, arguments: dict[str, str], queries: list[str]) -> str:
    """What it is refused with."""
    try:
        list(router.run(Command(f"{path}/{verb}", dict(arguments), queries), SYSTEM).rows)
    except Refused as refused:
        return refused.message
    return ""


@given(st.sampled_from(Version), st.lists(COMMANDS, max_size=30), st.lists(VALUES, max_size=2))
@settings(max_examples=200, deadline=None)
def test_whatever_command_comes_is_answered_or_refused(
    version: Version, commands: list[tuple[str, str, dict[str, str]]], queries: list[str]
) -> None:
    router = lone_router(version)
    for path, verb, arguments in commands:
        answer(router, path, verb, arguments, queries if verb == "print" else [])
    for path in MENUS:
        rows(router, path)
    text = router.run(Command("/export", {"show-sensitive": ""}), SYSTEM).returned["ret"]
    router.files.write("x.rsc", text, 0.0)
    answer(router, "", "import", {"file-name": "x.rsc"}, [])


BY_KIND: dict[Kind, st.SearchStrategy[str]] = {
    Kind.TEXT: st.sampled_from(["a", "b", "ether1", "default", "none", "all"]) | st.text(max_size=100),
    Kind.BOOLEAN: st.sampled_from(["yes", "no"]),
    Kind.INTEGER: st.integers(1, 128).map(str),
    Kind.DURATION: st.sampled_from(["5m", "1d", "0s", "90", "00:05:00", "3s300ms"]),
    Kind.ADDRESS: st.sampled_from(["10.0.0.1", "10.0.0.0/24", "2001:db8::/32", "10.0.0.9/32"]),
    Kind.RANGES: st.sampled_from(["10.0.0.1", "10.0.0.0/24", "10.0.0.1-10.0.0.9,10.1.0.1", "2001:db8::1"]),
    Kind.RATE: st.sampled_from(["0", "10M", "512k/2M", "1G/1G", "1234567/7"]),
    Kind.SET: st.sampled_from(["", "a", "b,a", "read,write", "pap,chap", "established,related"]),
    Kind.POLICIES: st.sampled_from(["", "read", "write,read", "read,!ftp,!write", "api,policy,sensitive,test"]),
    Kind.REFERENCE: st.sampled_from(["a", "b", "default", "ether1", "ether2", "full", "memory", "10.0.0.1", "all"]),
}


def valid(field: Field) -> st.SearchStrategy[str]:
    if field.kind is Kind.CHOICE:
        return st.sampled_from(sorted(field.choices))
    if field.kind is Kind.SET and field.choices:
        return st.lists(st.sampled_from(sorted(field.choices)), max_size=3, unique=True).map(",".join)
    if field.refers_to == "/interface" or field.name in {"in-interface", "out-interface"}:
        return st.sampled_from(["ether1", "ether2", "a"])
    return BY_KIND[field.kind]


def needs(field: Field) -> bool:
    return field.default is None and not field.can_unset


def row_of(menu: MenuSchema) -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    fields = {name: valid(field) for name, field in menu.fields.items() if not field.read_only}
    needed = {name for name in fields if needs(menu.fields[name])}
    row = st.fixed_dictionaries(
        {name: fields[name] for name in sorted(needed)},
        optional={name: fields[name] for name in sorted(fields.keys() - needed)},
    )
    return st.tuples(st.just(menu.path), row)


ROWS = st.sampled_from([menu for path, menu in sorted(MENUS.items()) if path != "/user"]).flatmap(row_of)


@given(st.sampled_from(Version), st.lists(ROWS, max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_whatever_rows_are_taken_an_export_makes_another_router_the_same(
    version: Version, taken: list[tuple[str, dict[str, str]]], random: Random
) -> None:
    router = lone_router(version)
    for path, row in taken:
        known = MENUS[path].known_to(version.release)
        said = {name: value for name, value in row.items() if name in known}
        chosen = {name for name in said if needs(known[name])}
        chosen |= set(random.sample(sorted(said), k=min(len(said), random.choice([0, 2, 6]))))
        verb = "set" if MENUS[path].single else "add"
        answer(router, path, verb, {name: value for name, value in said.items() if name in chosen}, [])
    names = {path: [row[".id"] for row in rows(router, path)] for path in MENUS if MENUS[path].fixed}
    for path, row in taken:
        if MENUS[path].fixed and path != "/interface":
            said = dict(random.sample(sorted(row.items()), k=min(len(row), 2)))
            answer(router, path, "set", {"numbers": random.choice(names[path]), **said}, [])
    other = lone_router(version)
    other.files.write("x.rsc", router.run(Command("/export", SHOWN[version]), SYSTEM).returned["ret"], 0.0)
    assert answer(other, "", "import", {"file-name": "x.rsc"}, []) == ""
    assert everything(other) == everything(router)


SHOWN = {version: {"show-sensitive": ""} if version.hides_secrets_in_exports else {} for version in Version}


def everything(router: Router) -> dict[str, list[dict[str, str]]]:
    """Without ids, what the router counts, and rows that are its own."""
    found = {}
    for path, menu in MENUS.items():
        seen = [
            {name: value for name, value in row.items() if name not in {".id", "next-run", "mac-address"}}
            for row in rows(router, path)
            if row.get("dynamic") != "true"
        ]
        found[path] = seen if menu.ordered is not None else sorted(seen, key=lambda row: sorted(row.items()))
    return found


WORD = st.builds(
    lambda head, tail: head + tail, st.sampled_from([b"=", b"?", b".tag=", b"/", b""]), st.binary(max_size=9)
)
SENTENCES = st.lists(
    st.builds(
        lambda word, words: [word.encode("utf-8", "surrogateescape"), *words],
        st.builds(lambda path, verb: f"{path}/{verb}", PATHS, VERBS),
        st.lists(WORD.filter(bool), max_size=4),
    ),
    max_size=8,
)


@given(SENTENCES)
@settings(max_examples=200, deadline=None)
def test_whatever_sentences_come_each_has_its_end(sentences: list[list[bytes]]) -> None:
    dialogue = Dialogue(lone_router(), bytes)
    login = [b"/login", b"=name=" + USER.encode(), b"=password=" + PASSWORD.encode()]
    octets = b"".join(encode_sentence(one) for one in [login, *sentences])
    replies = Decoder().feed(b"".join(one for one in dialogue.receive(octets) if not isinstance(one, Wait)))
    ends = [one for one in replies if one[0] in {b"!done", b"!fatal"}]
    assert len(ends) == len(sentences) + 1
    assert {one[0] for one in replies} <= {b"!re", b"!done", b"!trap", b"!empty", b"!fatal"}


TOKENS = st.sampled_from([
    "/ppp secret", "/ppp/secret/add", "/system script run a", "/system scheduler add", "/", "..", "add", "set",
    "remove", "move", "get", "print", "count-only", "as-value", "export", "find", "where", "and", "[find]",
    "[find name=a]", '[find comment~"^a"]', "name=a", 'comment="b"', "!comment", "disabled=yes", "on-event=", "*1",
    ":local", ":set", "i", "$i", "$", ":foreach", "in=[find]", "do={", "else={", "on-error={", "{", "}", ":if",
    "(1 = 2)", '("a" . "b" ~ "a")', "(1 + 2)", ":do", ":put", ":len", ":error", ":delay", "1s", "x", ";", "\n", "[",
    "]", "(", ")", '"', "\\", "~", "=", "-", "+", "!", "&&",
])  # fmt: skip


@given(st.lists(TOKENS, max_size=14).map(" ".join))
@settings(max_examples=500, deadline=None)
def test_whatever_script_is_run_is_done_or_refused(script: str) -> None:
    router = lone_router()
    for name in ("a", "b"):
        answer(router, "/ppp/secret", "add", {"name": name, "comment": name}, [])
    answer(router, "/system/script", "add", {"name": "a", "source": script}, [])
    answer(router, "", "execute", {"script": script, "as-string": ""}, [])
    answer(router, "/system/scheduler", "add", {"name": "s", "on-event": script, "interval": "1m"}, [])
    assert isinstance(router.clock, Clock)
    for _ in range(3):
        router.clock.now += 60
        router.tick()
