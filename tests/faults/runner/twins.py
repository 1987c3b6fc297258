"""
Broken twins: a worker, or a desk, with one protection taken away, so that the checker can be seen to fail.

Each function patches the process that it is called in and nothing else; the product has no switch for it.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any


def without_idempotency() -> None:
    """Let every try of a delivery have an id of its own, so that the other side cannot know it again."""
    from infra.portal.http import HttpPortal
    from tasks.delivery import sending, steps

    plain, known = HttpPortal.deposit, sending.message_id

    def deposit(self: HttpPortal, *, deposit_id: str, **named: Any) -> str:
        return plain(self, deposit_id=f"{deposit_id}/{secrets.token_hex(4)}", **named)

    HttpPortal.deposit = deposit  # type: ignore[method-assign, assignment]
    assert steps.message_id is known
    _instead_of(known, lambda _errand, _mailbox: f"<{secrets.token_hex(8)}@twin>")


def without_fencing() -> None:
    """Let a worker speak about a lease that it has lost."""
    from sqlalchemy import text

    from tasks.dossier import outbox

    for name in ("_RENEW", "_FINISH", "_POSTPONE"):
        said = str(getattr(outbox, name)).replace("and fence = :fence", "and fence >= 0 * :fence")
        said = said.replace("and fence = ended.held", "and fence >= 0 * ended.held")
        assert "fence >= 0" in said
        setattr(outbox, name, text(said.replace("and lease_owner is not null", "")))


def without_read_back() -> None:
    """Believe a store that says yes."""
    from infra.object_store import Stored
    from infra.object_store.s3 import S3Store
    from tasks.archival import steps

    assert callable(steps.read_back)
    assert callable(S3Store._lock_of)

    def believed(self: S3Store, stored: Stored) -> Stored:
        return replace(stored, mode="COMPLIANCE", retain_until=stored.retain_until or _LATE)

    S3Store._lock_of = believed  # type: ignore[method-assign]
    steps.read_back = lambda stored, _content, until: replace(stored, mode="COMPLIANCE", retain_until=until)


def without_giving_up() -> None:
    """Carry a dossier again however many workers died at it."""
    from sqlalchemy import text

    from tasks.dossier import outbox

    outbox._PARK = text(f"{outbox._PARK} and false")


def without_rights() -> None:
    """Let everybody who is logged in do what they type."""
    from tasks.people import acting

    plain = acting.role_for  # type: ignore[attr-defined]

    def role_for(act: str, held: Iterable[Any], **named: Any) -> str | None:
        roles = list(held)
        return plain(act, roles, **named) or next((one.role for one in roles), None)

    acting.role_for = role_for  # type: ignore[attr-defined]


def without_verification() -> None:
    """Keep whatever the token gives, and release it."""
    from infra.errors import Broken
    from infra.pdf import checking
    from tasks.evidence import steps as evidence
    from tasks.signing import once, steps

    plain_check, plain_look = checking.check_signed, checking.signatures_of

    def signatures_of(*words: Any, **named: Any) -> list[checking.SignatureFound]:
        return [replace(found, intact=True, trusted=True) for found in plain_look(*words, **named)]

    def check_signed(previous: bytes, signed: bytes, **named: Any) -> checking.SignatureFound:
        try:
            return plain_check(previous, signed, **named)
        except Broken:
            found = signatures_of(signed, anchors=named["anchors"], chain=named["chain"])
            return next(one for one in found if one.field == named["field"])

    assert once.check_signed is plain_check
    assert steps.signatures_of is evidence.signatures_of is plain_look
    _instead_of(plain_check, check_signed)
    _instead_of(plain_look, signatures_of)


def _instead_of(function: Callable[..., Any], twin: Callable[..., Any]) -> None:
    """Put a twin in the place of a function, in every module that calls it by its name."""
    name = function.__name__
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is function:
            setattr(module, name, twin)


def _late() -> Any:
    from datetime import UTC, datetime

    return datetime(2099, 1, 1, tzinfo=UTC)


_LATE = _late()

TWINS: dict[str, Callable[[], None]] = {
    "idempotency": without_idempotency,
    "fencing": without_fencing,
    "read-back": without_read_back,
    "verification": without_verification,
    "giving-up": without_giving_up,
    "rights": without_rights,
}
