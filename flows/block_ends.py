"""How a block ends: each dossier given back, with what became of it written down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from flows.block import Block
from flows.errands import wake_all
from flows.standing import BROKEN, NEEDS_ATTENTION
from infra.errors import Forbidden, Unavailable
from infra.services import services
from tasks.batches.faults import cause_of, fault_of
from tasks.batches.records import Outcome, stages_of
from tasks.batches.rules import Kind, Result
from tasks.dossier import outbox
from tasks.dossier.lifecycle import ENDED, Stage
from tasks.dossier.outbox import Lease

#: Stages at which nothing follows without a person or the night, so that what was asked is done.
_AT_REST = {str(stage) for stage in (Stage.AWAITING_SIGNATURE, Stage.RETURNED, *ENDED)}

#: Where each part of a life leads.
_GOALS = {
    Kind.CERTIFICATION: Stage.AWAITING_SIGNATURE,
    Kind.SEALING: Stage.SIGNED,
    Kind.DELIVERY: Stage.RETURNED,
    Kind.ARCHIVAL: Stage.ARCHIVED,
}


def settle(block: Block, before: Mapping[str, str], seen: Mapping[str, int]) -> list[Outcome]:
    """Give every dossier back, and return what became of those that are done with; in one transaction."""
    after = stages_of(list(block.leases))
    wakes = wake_all(list(block.leases))
    outcomes: list[Outcome] = []
    ended: list[tuple[Lease, int, datetime | None]] = []
    with services().database.together():
        for code, lease in block.leases.items():
            error = block.errors.get(code)
            moved = before[code] != after[code]
            if error is not None:
                _put_off(lease, error, wakes.get(code))
                if fault_of(error) is None:
                    outcomes.append(Outcome(code=code, result=Result.SET_ASIDE, cause=cause_of(error)))
            elif block.fault is not None and not moved and code not in block.waiting:
                outbox.give_back(lease)
            else:
                at_rest = after[code] in _AT_REST and block.fault is None
                ended.append((lease, seen[code] if at_rest else lease.asked, wakes.get(code)))
                result, cause = _came_to(block.kind, after[code], moved=moved)
                outcomes.append(Outcome(code=code, result=result, cause=cause))
        outbox.finish_these(ended)
    return outcomes


def _came_to(kind: Kind, stage: str, *, moved: bool) -> tuple[Result, str]:
    """Return the result of a dossier that nothing went wrong with, and why it did not move."""
    if moved:
        return Result.DONE, ""
    if stage == _GOALS[kind]:
        return Result.ELSEWHERE, ""  # Somebody was here between the plan and now.
    if stage == Stage.SIGNED:
        return (
            Result.WAITING,
            "its return has not ended: a mail server asked for patience, or a counter has it",
        )
    return Result.WAITING, f"it stands at {stage}"


def _put_off(lease: Lease, error: Exception, wake: datetime | None) -> None:
    """Write down why a dossier could not be carried on, as the single life does."""
    if isinstance(error, Unavailable):
        outbox.postpone(lease, cause_of(error))
    elif isinstance(error, Forbidden):
        outbox.postpone(lease, f"{NEEDS_ATTENTION}{error}", give_up=True, wake_at=wake)
    else:
        cause = f"{BROKEN}{type(error).__name__}: {cause_of(error)}"
        outbox.postpone(lease, cause, give_up=True, wake_at=wake)
