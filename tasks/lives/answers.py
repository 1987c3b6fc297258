"""
What the rules about signing and returning answer to questions that every office asks, for each procedure lived under.

A life tells who signed and how its result went back, and not who might not have: so the rules of authority are asked
about everybody in an example's office (`tasks.authority.examples`), and those of delivery about every channel and
every answer of a server. The answers are recorded beside the lives, without a person among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from infra.errors import Forbidden
from infra.mail import Outcome
from tasks.authority.examples import asked, asked_seal
from tasks.authority.rules import decide, decide_seal
from tasks.authority.values import Decision
from tasks.delivery.rules import PATIENCE, after
from tasks.dossier.procedures import Procedure, check_channels

#: Who is asked about, by what they are in the example's office.
_PEOPLE = {
    "the chairman": "lam",
    "the deputy": "ha",
    "the head of the unit": "binh",
    "the civil servant": "mai",
}
#: In which situation, besides the plain one.
_SITUATIONS: dict[str, dict[str, Any]] = {
    "": {},
    "with their own papers": {"identity": "1", "applicant": "1"},
    "without the role": {"is_official": False},
    "with a title before the name": {"name": "TS. Nguyễn Văn A"},
    "before they held the post": {"at": "2025-06-30 23:59:59"},
    "in the last second of the mandate": {"at": "2026-06-30 17:00:00"},
    "a second after the mandate": {"at": "2026-06-30 17:00:01"},
}
#: How the one who signs is related to the applicant, or to the original; told by the person's own name.
_RELATED = {"for a relative": "kin_of", "what they compared themselves": "examiner"}

_CHANNELS = ("paper", "email", "portal")
_ADDRESSES: dict[str, dict[str, str | None]] = {
    "with every address": {"email": "a@b.example", "account": "a"},
    "with an e-mail address only": {"email": "a@b.example", "account": None},
    "without an address": {"email": None, "account": None},
}


def answers(procedures: Sequence[Procedure]) -> dict[str, str]:
    """Return what this program's rules answer, by question, in the order of questions; pure."""
    found = {**dict(_seal()), **dict(_tries())}
    for one in procedures:
        found |= dict(_authority(one))
        found |= dict(_channels(one))
    return dict(sorted(found.items()))


def _authority(procedure: Procedure) -> Iterator[tuple[str, str]]:
    """Yield who may give the signatures of officials that a procedure asks for."""
    about = {"procedure": procedure.code, "kind": procedure.kind}
    for step in procedure.signature_steps:
        if step.role != "official":
            continue
        for person, name in _PEOPLE.items():
            situations = {
                **_SITUATIONS,
                **{said: {how: name if how == "examiner" else (name,)} for said, how in _RELATED.items()},
            }
            for situation, changes in situations.items():
                question = (
                    f"{procedure.code} v{procedure.version}, {step.field}: {person} {situation}".rstrip()
                )
                decision = decide(asked(name, capacities=tuple(step.capacities), **about, **changes))
                yield f"authority, {question}", _decided(decision)


def _seal() -> Iterator[tuple[str, str]]:
    """Yield when the agency may sign."""
    cases: dict[str, dict[str, Any]] = {
        "after the one official": {"officials": 1, "signed": 1},
        "before the one official": {"officials": 1},
        "between two officials": {"officials": 2, "signed": 1},
        "where no official signs": {},
        "alone where a rule lets it": {"alone": "SIG-16"},
        "without a keeper": {"officials": 1, "signed": 1, "keeper": ""},
    }
    for case, changes in cases.items():
        yield f"authority, seal: {case}", _decided(decide_seal(asked_seal(**changes)))


def _decided(decision: Decision) -> str:
    """Return a decision in a few words."""
    return f"signs as {' / '.join(decision.lines)}" if decision.allowed else f"refused [{decision.rule}]"


def _channels(procedure: Procedure) -> Iterator[tuple[str, str]]:
    """Yield by which channels a result of a procedure goes back, for every wish."""
    wishes = [one for size in range(len(_CHANNELS) + 1) for one in combinations(_CHANNELS, size)]
    for wish in wishes:
        for reached, addresses in _ADDRESSES.items():
            question = (
                f"{procedure.code} v{procedure.version}: {' and '.join(wish) or 'nothing'} wanted, {reached}"
            )
            try:
                legs = check_channels(procedure, wish, email=addresses["email"], account=addresses["account"])
            except Forbidden as refusal:
                yield f"delivery, {question}", f"refused [{refusal.rule}]"
            else:
                yield f"delivery, {question}", f"goes back by {', '.join(legs)}"


def _tries() -> Iterator[tuple[str, str]]:
    """Yield how a leg goes on after each answer of a server."""
    for outcome in Outcome:
        for number in range(1, len(PATIENCE) + 2):
            unclear = number if outcome is Outcome.AMBIGUOUS else 0
            follows = after(outcome, attempts=number, ambiguous=unclear)
            again = f", again after {follows.wait.total_seconds():.0f} s" if follows.wait else ""
            aside = ", and falls back" if follows.fall_back else ""
            yield f"delivery, try {number} {outcome}", f"{follows.state}{again}{aside}"
