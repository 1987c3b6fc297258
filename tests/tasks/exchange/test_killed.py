"""Processes that carry the post are killed at the worst moments: nothing is lost, and nothing is sent twice as new."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.database import Database, DatabaseClock, connection_url
from infra.services import using
from tasks.exchange import arriving, packing, posting, receiving
from tasks.exchange.post import carry_post
from tests.tasks.exchange.offices import Office, Two, two_offices
from tests.world import Parts, World


@pytest.fixture(scope="module")
def two(running_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with using(running_world.parts), two_offices(running_world, tmp_path_factory.mktemp("killed")) as both:
        yield both


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def posts_and_dies(office: Office, module: Any, name: str) -> None:
    """Carry an office's post in a process of its own, which is killed where a function would be called."""
    child = os.fork()
    if not child:
        try:
            chosen = office.parts.settings
            own = Database(connection_url(chosen.database_url, chosen.database_password_file))
            parts = Parts(chosen, office.parts.devices)
            parts.__dict__.update({**office.parts.__dict__, "database": own, "clock": DatabaseClock(own)})
            parts.__dict__["axis"] = type(office.parts.axis)(
                office.parts.axis._url, token_file=office.parts.axis._token_file
            )
            setattr(module, name, die)
            with using(parts):
                carry_post()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"it was not killed in {name}"


SENDING: list[tuple[Any, str]] = [
    (packing, "_make"),  # the intent is written, the token was not asked
    (packing, "_check"),  # the token was asked, nothing is stored
    (packing, "_keep"),  # the package is stored, nobody knows
    (posting, "_leave"),  # it is packed
    (posting, "_left"),  # the axis has it, nobody knows
]


@pytest.mark.parametrize(("module", "name"), SENDING, ids=[name for _, name in SENDING])
def test_a_sender_that_was_killed_is_taken_over_and_sends_once(
    two: Two, form: bytes, tmp_path: Path, module: Any, name: str
) -> None:
    code = two.a.letter(two.b.code, tmp_path, form, for_information=True).json["code"]
    posts_and_dies(two.a, module, name)
    two.a.again()
    two.a.post()
    seen = two.a.show(code)
    assert [p["state"] for p in seen["packages"]] == ["sent"]
    assert len([n for n in two.axis.notes() if n["sha256"] == seen["packages"][0]["sha256"]]) == 1
    events = two.a.events(code)
    asked, signed = events.count("exchange:package-intended"), events.count("exchange:package-signed")
    assert (asked, signed) == ((2, 1) if name in ("_make", "_check") else (1, 1))
    two.b.post()
    two.a.post()
    assert two.a.chain(code) == ["01"]


TAKING: list[tuple[Any, str]] = [
    (receiving, "judge"),  # it is stored, and not read
    (arriving, "_arrived"),  # in the middle of what is written down
]


@pytest.mark.parametrize(("module", "name"), TAKING, ids=[name for _, name in TAKING])
def test_a_receiver_that_was_killed_is_taken_over_and_takes_once(
    two: Two, form: bytes, tmp_path: Path, module: Any, name: str
) -> None:
    code = two.a.letter(two.b.code, tmp_path, form, for_information=True).json["code"]
    two.a.post()
    before = len(two.b.inbox("--all"))
    posts_and_dies(two.b, module, name)
    assert len(two.b.inbox("--all")) == before, "nothing is half registered"
    two.b.post()
    two.a.post()
    assert len(two.b.inbox("--all")) == before + 1
    assert two.a.chain(code) == ["01"]
