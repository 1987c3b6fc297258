"""Originals that are signed together: each exactly once, whatever happens to the others or to the process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from infra.errors import Broken, Forbidden, Unavailable
from infra.history import Entry
from infra.history.recording import entries
from infra.services import services
from infra.token import TokenAbsent
from tasks.dossier.looking import hold
from tasks.dossier.moves import Telling, tell
from tasks.signing import steps
from tasks.signing.authorising import Signer
from tasks.signing.together import Wanted, sign_together
from tasks.signing.tries import name_of
from tests.procedure_versions import another_version
from tests.world import World


class Interrupted(BaseException):
    """The process dies here: nothing of ours may catch it."""


class Counted:
    """A token that counts, and does something else than sign from some call on."""

    def __init__(self, signer: Signer, *, then: BaseException | None = None, after: int = 0) -> None:
        self._token, self._then, self._after = signer.token, then, after
        self.certificate = signer.token.certificate
        self.calls = 0

    def sign(self, content: bytes) -> bytes:
        self.calls += 1
        if self._then is not None and self.calls > self._after:
            raise self._then
        return self._token.sign(content)

    def close(self) -> None:
        self._token.close()


@pytest.fixture
def waiting(world: World) -> tuple[str, list[str]]:
    """An office and three dossiers whose one original each waits for its official."""
    office = world.office()
    return office, [world.frozen(office) for _ in range(3)]


def by(world: World, office: str, role: str = "ha", **more: Any) -> tuple[Signer, Counted]:
    """Return a signer and the token that counts its calls."""
    signer = world.signer(office, role) if role != "ha" else world.signer(office)
    token = Counted(signer, **more)
    return replace(signer, token=token), token


def firsts(codes: list[str]) -> list[Wanted]:
    """Return the first original of each."""
    return [Wanted(code, 1) for code in codes]


def ends(world: World, code: str) -> list[str]:
    """Return what the history says of the signatures of a dossier."""
    return [e.removeprefix("signature:") for e in world.events(code) if e.startswith("signature:")]


def test_each_is_signed_once_and_asking_again_changes_nothing(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    signer, token = by(world, office)
    assert sign_together(firsts(codes), signer) == [True, True, True]
    assert sign_together(firsts(codes), signer) == [False, False, False]
    assert token.calls == 3
    assert [ends(world, code) for code in codes] == [["intended", "done"]] * 3


def test_every_intent_is_committed_before_the_token_is_touched(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    signer, _ = by(world, office, then=Interrupted())
    with pytest.raises(Interrupted):
        sign_together(firsts(codes), signer)
    assert [ends(world, code) for code in codes] == [["intended"]] * 3


def test_after_a_death_what_was_stored_is_kept_without_the_token_and_every_try_is_explained(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    signer, _ = by(world, office, then=Interrupted(), after=2)
    with pytest.raises(Interrupted):
        sign_together(firsts(codes), signer)
    assert [o.standing for code in codes for o in world.originals(code)] == ["certified"] * 3
    again, token = by(world, office)
    assert sign_together(firsts(codes), again) == [True, True, True]
    assert token.calls == 1
    assert [ends(world, code) for code in codes] == [
        ["intended", "done"],
        ["intended", "done"],
        ["intended", "interrupted", "intended", "done"],
    ]


@pytest.mark.parametrize(
    "fault", [TokenAbsent("it was pulled out"), KeyboardInterrupt()], ids=["token", "ctrl-c"]
)
def test_what_stops_the_round_leaves_what_was_signed_and_asks_the_token_for_nothing_more(
    world: World, waiting: tuple[str, list[str]], fault: BaseException
) -> None:
    office, codes = waiting
    signer, token = by(world, office, then=fault, after=1)
    assert sign_together(firsts(codes), signer) == [True, fault, None]
    assert token.calls == 2
    assert [ends(world, code) for code in codes] == [
        ["intended", "done"],
        ["intended", "failed"],
        ["intended", "failed"],
    ]
    failed = [next(e for e in world.told(code) if e["event"] == "signature:failed") for code in codes[1:]]
    assert [end["called"] for end in failed] == [True, False]
    assert sign_together(firsts(codes), by(world, office)[0]) == [False, True, True]


def test_one_that_is_refused_is_told_and_keeps_nobody_up(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    office, codes = waiting
    wanted = [Wanted(codes[0], 1), Wanted(codes[1], 1, "0" * 64), Wanted(codes[2], 1)]
    first, refused, last = sign_together(wanted, by(world, office)[0])
    assert (first, last) == (True, True)
    assert isinstance(refused, Forbidden)
    assert refused.rule == "SIG-12"
    assert [ends(world, code) for code in codes] == [["intended", "done"], ["refused"], ["intended", "done"]]


def test_one_that_somebody_else_is_at_is_waited_for(
    world: World, waiting: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    office, codes = waiting
    monkeypatch.setattr("tasks.signing.once.PATIENCE", 0.1)
    with services().database.locked(name_of(codes[1], 1), patience=0):
        first, busy, last = sign_together(firsts(codes), by(world, office)[0])
    assert (first, last) == (True, True)
    assert isinstance(busy, Unavailable)
    assert ends(world, codes[1]) == []


def test_a_seal_that_is_the_last_signature_releases_in_the_same_round(world: World) -> None:
    office = world.office()
    with another_version(world, "e-copy.v2.yaml", evidence={"release": "B", "archive": "B"}):
        codes = [world.frozen(office) for _ in range(2)]
        assert sign_together(firsts(codes), world.signer(office)) == [True, True]
        assert sign_together(firsts(codes), world.signer(office, "seal")) == [True, True]
    assert [o.standing for code in codes for o in world.originals(code)] == ["valid", "valid"]
    assert [world.events(code)[-1] for code in codes] == ["document:validated"] * 2


def test_a_document_that_does_not_stand_up_when_it_is_read_back_keeps_its_seal_and_is_not_released(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = world.office()
    with another_version(world, "e-copy.v2.yaml", evidence={"release": "B", "archive": "B"}):
        codes = [world.frozen(office) for _ in range(2)]
        sign_together(firsts(codes), world.signer(office))
        real = steps.signatures_of
        answers = iter([[], None])

        def found(content: bytes, **more: Any) -> Any:
            answer = next(answers)
            return real(content, **more) if answer is None else answer

        monkeypatch.setattr(steps, "signatures_of", found)
        damaged, sound = sign_together(firsts(codes), world.signer(office, "seal"))
    assert isinstance(damaged, Broken)
    assert sound is True
    assert [o.standing for code in codes for o in world.originals(code)] == ["sealed", "valid"]


def test_parts_of_one_transaction_tell_in_order_and_what_was_undone_told_nothing(
    world: World, waiting: tuple[str, list[str]]
) -> None:
    _, codes = waiting

    def note(code: str, *, fail: bool = False) -> None:
        with services().database.transaction() as session:
            tell(session, hold(session, code), Telling(event=f"note:{code[-1]}"))
            if fail:
                raise Forbidden("not this one.", rule="AUTH-01", way_out="None.")

    before = [world.events(code) for code in codes]
    with services().database.together():
        note(codes[0])
        with pytest.raises(Forbidden):
            note(codes[1], fail=True)
        note(codes[2])
        note(codes[0])
    mine = [world.events(code)[len(old) :] for code, old in zip(codes, before, strict=True)]
    assert mine == [[f"note:{codes[0][-1]}"] * 2, [], [f"note:{codes[2][-1]}"]]
    positions = [e.position for code in (codes[0], codes[2]) for e in written(world, code)[-2:]]
    assert positions[0] + 2 == positions[1]
    assert positions[0] < positions[3] < positions[1]


def written(world: World, code: str) -> list[Entry]:
    """Return the entries about a dossier."""
    with world.parts.database.transaction() as session:
        return entries(session, code)
