"""
The stages of a dossier, the standings of its originals, and the only moves between them.

A dossier goes as far as the original that is furthest behind. What the National Portal hears are ten
status codes; DOS-06 says which may follow which, and every move here keeps to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from enum import StrEnum

from infra.errors import Forbidden


class Stage(StrEnum):
    """Where a dossier stands; the value is what a supervisor reads in the Prefect UI."""

    BOOKED = "Booked"
    RECEIVED = "Received"
    SUPPLEMENT_ASKED = "SupplementAsked"
    PAYMENT_DUE = "PaymentDue"
    CERTIFIED = "Certified"
    AWAITING_SIGNATURE = "AwaitingSignature"
    RETURNED_TO_EXAMINER = "ReturnedToExaminer"
    AWAITING_SEAL = "AwaitingSeal"
    SIGNED = "Signed"
    RETURNED = "Returned"
    STOPPED = "Stopped"
    ARCHIVED = "Archived"
    DECLINED = "Declined"
    WITHDRAWN = "Withdrawn"
    CANCELLED = "Cancelled"
    NO_SHOW = "NoShow"


class Standing(StrEnum):
    """Where one original of a dossier stands."""

    RECEIVED = "received"  # examined, compared and scanned at the counter
    CERTIFIED = "certified"  # numbered, attested, frozen: put before the official
    LEFT_OUT = "left-out"  # the official left it out of a list; the examiner looks again
    APPROVED = "approved"  # signed by every official of its route
    SEALED = "sealed"  # signed by the agency too
    VALID = "valid"  # validated and released
    WITHDRAWN = "withdrawn"  # its result was taken back after its issue
    REPLACED = "replaced"  # a corrected result stands in its place
    DECLINED = "declined"  # refused with R1–R6
    DROPPED = "dropped"  # its dossier was withdrawn or stopped for good


#: Standings that no longer count for where the dossier stands.
GONE: frozenset[Standing] = frozenset({Standing.DECLINED, Standing.DROPPED})

#: Stages in which the clock of the time limit stands still (DOS-06: codes 5, 6 and 8).
PAUSED: frozenset[Stage] = frozenset({Stage.SUPPLEMENT_ASKED, Stage.PAYMENT_DUE, Stage.STOPPED})

#: Stages in which results may be in somebody's hands: from here on they are corrected or withdrawn by name.
ISSUED: frozenset[Stage] = frozenset({Stage.SIGNED, Stage.RETURNED, Stage.ARCHIVED})

#: Stages after which nothing more happens.
ENDED: frozenset[Stage] = frozenset(
    {Stage.ARCHIVED, Stage.DECLINED, Stage.WITHDRAWN, Stage.CANCELLED, Stage.NO_SHOW}
)

_LEAVING: frozenset[Stage] = frozenset({Stage.WITHDRAWN, Stage.STOPPED, Stage.SUPPLEMENT_ASKED})

MOVES: Mapping[Stage, frozenset[Stage]] = {
    Stage.BOOKED: frozenset({Stage.RECEIVED, Stage.DECLINED, Stage.CANCELLED, Stage.NO_SHOW}),
    Stage.RECEIVED: frozenset(
        {
            Stage.CERTIFIED,
            Stage.PAYMENT_DUE,
            Stage.RETURNED_TO_EXAMINER,
            # The original that was furthest behind was declined, and the others are that far already;
            # another agency's result needs no signature of ours.
            Stage.AWAITING_SEAL,
            Stage.SIGNED,
        }
    )
    | _LEAVING,
    Stage.SUPPLEMENT_ASKED: frozenset({Stage.RECEIVED, Stage.PAYMENT_DUE, Stage.WITHDRAWN, Stage.STOPPED}),
    Stage.PAYMENT_DUE: frozenset({Stage.RECEIVED, Stage.WITHDRAWN, Stage.STOPPED}),
    Stage.CERTIFIED: frozenset({Stage.AWAITING_SIGNATURE}),
    Stage.AWAITING_SIGNATURE: frozenset({Stage.AWAITING_SEAL, Stage.RETURNED_TO_EXAMINER, Stage.SIGNED})
    | _LEAVING,
    Stage.RETURNED_TO_EXAMINER: frozenset(
        {
            Stage.RECEIVED,
            Stage.PAYMENT_DUE,
            Stage.CERTIFIED,
            Stage.AWAITING_SIGNATURE,
            Stage.AWAITING_SEAL,
            Stage.SIGNED,
        }
    )
    | _LEAVING,
    # Back to the counter only when a signature is left behind whose certificate had been revoked.
    Stage.AWAITING_SEAL: frozenset({Stage.SIGNED, Stage.RECEIVED}),
    Stage.SIGNED: frozenset({Stage.RETURNED}),
    Stage.RETURNED: frozenset({Stage.ARCHIVED}),
    Stage.STOPPED: frozenset({Stage.RECEIVED}),
    Stage.ARCHIVED: frozenset(),
    Stage.DECLINED: frozenset(),
    Stage.WITHDRAWN: frozenset(),
    Stage.CANCELLED: frozenset(),
    Stage.NO_SHOW: frozenset(),
}

#: DOS-06: the status codes that may follow each status code of the National Portal.
PORTAL_MOVES: Mapping[int, frozenset[int]] = {
    1: frozenset({2, 3, 7}),
    2: frozenset({4, 5, 6, 7}),
    3: frozenset(),
    4: frozenset({5, 6, 7, 8, 9}),
    5: frozenset({4, 7, 8}),
    6: frozenset({4, 7, 8}),
    7: frozenset(),
    8: frozenset({4}),
    9: frozenset({10}),
    10: frozenset(),
}

#: The status codes that tell the portal of a stage; where there are two, the first that is reachable.
PORTAL_CODES: Mapping[Stage, tuple[int, ...]] = {
    Stage.BOOKED: (1,),
    Stage.RECEIVED: (2, 4),
    Stage.SUPPLEMENT_ASKED: (5,),
    Stage.PAYMENT_DUE: (6,),
    Stage.CERTIFIED: (4,),
    Stage.AWAITING_SIGNATURE: (4,),
    Stage.RETURNED_TO_EXAMINER: (4,),
    Stage.AWAITING_SEAL: (4,),
    Stage.SIGNED: (9,),
    Stage.RETURNED: (10,),
    Stage.ARCHIVED: (10,),
    Stage.STOPPED: (8,),
    Stage.DECLINED: (3,),
    Stage.NO_SHOW: (3,),
    Stage.WITHDRAWN: (7,),
    Stage.CANCELLED: (7,),
}

#: What each standing asks of the dossier, furthest behind first.
_BEHIND: tuple[tuple[Standing, Stage], ...] = (
    (Standing.LEFT_OUT, Stage.RETURNED_TO_EXAMINER),
    (Standing.RECEIVED, Stage.RECEIVED),
    (Standing.CERTIFIED, Stage.AWAITING_SIGNATURE),
    (Standing.APPROVED, Stage.AWAITING_SEAL),
    (Standing.SEALED, Stage.AWAITING_SEAL),
    (Standing.VALID, Stage.SIGNED),
    # What was taken back or replaced after its issue was signed all the same.
    (Standing.WITHDRAWN, Stage.SIGNED),
    (Standing.REPLACED, Stage.SIGNED),
)


class ForbiddenMove(Forbidden):
    """The dossier stands where this act does not begin."""


def move(current: Stage, wanted: Stage) -> Stage:
    """
    Return `wanted` if a dossier in `current` may go there, and refuse otherwise.

    Asking for the stage the dossier is already in succeeds, so that whoever was interrupted after the
    change but before the answer can simply ask again.

    >>> move(Stage.BOOKED, Stage.RECEIVED)
    <Stage.RECEIVED: 'Received'>
    >>> move(Stage.SIGNED, Stage.WITHDRAWN)
    Traceback (most recent call last):
    tasks.dossier.lifecycle.ForbiddenMove: it stands at Signed and cannot become Withdrawn. [DOS-06] …
    """
    if wanted == current or wanted in MOVES[current]:
        return wanted
    nexts = ", ".join(sorted(MOVES[current])) or "nothing more: its life has ended"
    raise ForbiddenMove(
        f"it stands at {current} and cannot become {wanted}.",
        rule="DOS-06",
        way_out=f"From {current} it may become {nexts}.",
    )


def path(current: Stage, wanted: Stage) -> tuple[Stage, ...]:
    """
    Return the shortest legal way from `current` to `wanted`, both ends' moves checked by the table.

    >>> path(Stage.RECEIVED, Stage.AWAITING_SIGNATURE)
    (<Stage.CERTIFIED: 'Certified'>, <Stage.AWAITING_SIGNATURE: 'AwaitingSignature'>)
    >>> path(Stage.SIGNED, Stage.SIGNED)
    ()
    """
    if current == wanted:
        return ()
    if wanted == Stage.AWAITING_SIGNATURE and Stage.CERTIFIED in MOVES[current]:
        return (Stage.CERTIFIED, Stage.AWAITING_SIGNATURE)
    return (move(current, wanted),)


def stage_of(standings: Collection[Standing]) -> Stage | None:
    """
    Return the stage that a dossier's originals put it at, or `None` when no original is left.

    >>> stage_of([Standing.VALID, Standing.CERTIFIED, Standing.DECLINED])
    <Stage.AWAITING_SIGNATURE: 'AwaitingSignature'>
    >>> stage_of([Standing.DECLINED]) is None
    True
    """
    for standing, stage in _BEHIND:
        if standing in standings:
            return stage
    return None


def portal_path(last: int, stage: Stage) -> tuple[int, ...]:
    """
    Return the status codes to report, in order, so that the portal hears of `stage` (DOS-06, DOS-07).

    >>> portal_path(2, Stage.SIGNED)
    (4, 9)
    >>> portal_path(5, Stage.RECEIVED)
    (4,)
    >>> portal_path(10, Stage.ARCHIVED)
    ()
    """
    wanted = PORTAL_CODES[stage]
    if last in wanted:
        return ()
    queue: deque[tuple[int, ...]] = deque([(last,)])
    while queue:
        way = queue.popleft()
        for code in sorted(PORTAL_MOVES[way[-1]] - set(way)):
            if code in wanted:
                return (*way[1:], code)
            queue.append((*way, code))
    raise ForbiddenMove(
        f"the portal cannot hear of {stage} after status code {last}.",
        rule="DOS-06",
        way_out="Ask an engineer: stage table and status codes disagree.",
    )
