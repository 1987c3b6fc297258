"""Where a row of a registration round stands, and the only moves between (CER-15, as far as the provider's answer)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from infra.errors import Forbidden


class State(StrEnum):
    """Where a row stands; what comes after Issued is the certificate's own life."""

    DRAFT = "Draft"  # entered, and checked
    SUBMITTED = "Submitted"  # the unit said: this is our list
    CONFIRMED = "Confirmed"  # the managing agency confirmed it in writing
    CONSOLIDATED = "Consolidated"  # it stands on a numbered list of the round
    SENT = "Sent"  # that list went to the provider
    ISSUED = "Issued"  # the provider's certificate was matched with it
    REJECTED = "Rejected"  # taken out, with a reason


_OPEN = frozenset({State.DRAFT, State.SUBMITTED, State.CONFIRMED})

#: What may follow what. A correction makes a row a draft again, because nobody has confirmed what it says now.
MOVES: Mapping[State, frozenset[State]] = {
    State.DRAFT: frozenset({State.DRAFT, State.SUBMITTED, State.REJECTED}),
    State.SUBMITTED: frozenset({State.DRAFT, State.CONFIRMED, State.REJECTED}),
    State.CONFIRMED: frozenset({State.DRAFT, State.CONSOLIDATED, State.REJECTED}),
    State.CONSOLIDATED: frozenset({State.SENT, State.REJECTED}),
    State.SENT: frozenset({State.ISSUED, State.REJECTED}),
    State.ISSUED: frozenset(),
    State.REJECTED: frozenset({State.DRAFT}),
}

#: States in which the unit may still correct what a row says.
CORRECTABLE: frozenset[State] = _OPEN | {State.REJECTED}


def check_move(before: State, after: State) -> None:
    """
    Refuse a move that the table does not know (CER-15).

    >>> check_move(State.CONFIRMED, State.CONSOLIDATED)
    >>> check_move(State.ISSUED, State.REJECTED)
    Traceback (most recent call last):
    infra.errors.Forbidden: a row that is Issued does not become Rejected. [CER-15] It stays as it is.
    """
    if after not in MOVES[before]:
        nexts = ", ".join(str(state) for state in State if state in MOVES[before])
        raise Forbidden(
            f"a row that is {before} does not become {after}.",
            rule="CER-15",
            way_out=f"It may become: {nexts}." if nexts else "It stays as it is.",
        )
