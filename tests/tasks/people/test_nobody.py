"""Without a person nothing works but what says why it needs none: every command there is was typed (LOGIN-01)."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from tasks.people.rules import WITHOUT_LOGIN
from tests.test_docs import commands
from tests.world import VECTORS, World

REASON = str(VECTORS / "reason.txt")

#: Options that a command asks for although it can be typed without them.
ASKED = {"why", "missing", "person"}
#: What is written there, where not any word will do.
SAID: dict[str, str] = {
    "code": "H49.21-261123-9999", "who": "H49.21/mai", "role": "clerk", "day": "2027-01-04", "hour": "08:00",
    "until": "23:59", "person": str(VECTORS / "sen.yaml"), "on": "2027-01-04", "reason": "R1",
}  # fmt: skip
#: A scan that is not there: whoever looks at scans first says that, and not that nobody is logged in.
SCANS = ("--original", "Giấy", str(VECTORS / "scans" / "absent.pdf"))
#: Words that a command needs besides, because it would refuse the line itself otherwise.
BESIDES: dict[str, tuple[str, ...]] = {
    "correct": ("1", *SCANS),
    "examine": SCANS,
    "supply": SCANS,
    "results": ("--all",),
    "hand-over": ("--collector", str(VECTORS / "collector.yaml")),
    "receive": SCANS,
}


def line(name: str, command: Any, out: Path) -> list[str]:
    """Return a command line that a command takes: every argument, and the options that it needs or asks for."""
    words = name.split()
    for one in command.params:
        is_argument = one.param_type_name == "argument"
        if is_argument and (one.required or one.name == "code"):
            words += [value(one, out)] * max(one.nargs, 1)
        elif not is_argument and (one.required or one.name in ASKED):
            words += [one.opts[0], value(one, out)]
    return [*words, *BESIDES.get(name, ())]


def value(one: Any, out: Path) -> str:
    """Return something that a parameter takes."""
    kind = one.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str(next(iter(kind)).value)
    if one.name in SAID:
        return SAID[one.name]
    if kind in (int, float):
        return "1"
    if kind is Path and one.name in ("out", "folder"):
        return str(out / "new")
    return REASON


def test_login_01_nobody_does_anything_by_a_command_that_needs_a_person(world: World, tmp_path: Path) -> None:
    wrong = {}
    with world.having() as parts:
        # Nor does anybody hold the password of the tables' owner, which those who set things up have.
        parts.settings = parts.settings.model_copy(
            update={"database_owner_password_file": tmp_path / "absent"}
        )
        before = world.picture()
        for name in sorted(set(commands()) - set(WITHOUT_LOGIN)):
            said = world.type(*line(name, commands()[name], tmp_path), by=None)
            if said.code == 0 or said.out or "[LOGIN-01]" not in said.err:
                wrong[name] = said
        assert wrong == {}
        assert world.picture() == before
    assert list(tmp_path.iterdir()) == []


def test_what_needs_no_person_says_what_it_needs_instead() -> None:
    assert {name for name, needs in WITHOUT_LOGIN.items() if len(needs) < 10} == set()
