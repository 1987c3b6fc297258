"""A small office for the examples in docstrings: a chairman, a deputy, a head of a unit and a civil servant."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from infra.clock import HANOI
from tasks.authority.values import Asked, Basis, Holding, Mandate, Post, Records, SealAsked
from tasks.dossier.posts import RegimeSaid, moment_after

_SINCE = datetime(2025, 7, 1, tzinfo=HANOI)


def at(said: str) -> datetime:
    """Return a moment from the wall's clock: `2026-06-30 17:00:00`."""
    return datetime.fromisoformat(said).replace(tzinfo=HANOI)


def records() -> Records:
    """Return what the example's office has on record."""
    posts = (
        Post(code="chairman", title="Chủ tịch", rank="head"),
        Post(code="vice", title="Phó Chủ tịch", rank="deputy", under="chairman"),
        Post(code="chief", title="Chánh Văn phòng", rank="unit-head", under="chairman"),
        Post(code="justice", title="Công chức Tư pháp – Hộ tịch", rank="civil-servant", under="chief"),
    )
    holders = {"chairman": "lam", "vice": "ha", "chief": "binh", "justice": "mai"}
    holdings = tuple(
        Holding(id=number, post=post, staff=staff, decision=f"{number}/QĐ-UBND", since=_SINCE)
        for number, (post, staff) in enumerate(holders.items(), start=1)
    )
    assigned = Basis(kind="assignment", number="15/QĐ-UBND", date=date(2025, 7, 2), issuer="UBND xã")
    authorised = Basis(kind="authorisation", number="21/GUQ-UBND", date=date(2026, 1, 5), issuer="Chủ tịch")
    mandates = (
        Mandate(
            id=1,
            capacity="KT.",
            giver_post="chairman",
            giver="lam",
            to="ha",
            covers=("e-copy",),
            basis=assigned,
            since=_SINCE,
        ),
        Mandate(
            id=2,
            capacity="TUQ.",
            giver_post="chairman",
            giver="lam",
            to="binh",
            covers=("certification",),
            limits="bản sao từ bản chính",
            basis=authorised,
            since=at("2026-01-05 08:00:00"),
            before=moment_after(at("2026-06-30 17:00:00")),
        ),
    )
    return Records(posts=posts, holdings=holdings, mandates=mandates)


def asked(staff: str, *, at: str = "2026-03-02 09:00:00", **changes: Any) -> Asked:
    """Return the question whether somebody of the example's office may certify a copy."""
    known: dict[str, Any] = {
        "office": "H49.21",
        "regime": RegimeSaid(kind="TAP_THE", collective="Ủy ban nhân dân"),
        "name": "Nguyễn Văn A",
        "procedure": "e-copy",
        "kind": "certification",
        "capacities": ("own", "KT.", "TUQ."),
        "records": records(),
    }
    moment = datetime.fromisoformat(at).replace(tzinfo=HANOI)
    return Asked(staff=staff, moment=moment, **{**known, **changes})


def asked_seal(**changes: Any) -> SealAsked:
    """Return the question whether the example's agency may sign."""
    known: dict[str, Any] = {
        "office": "H49.21",
        "agency": "Ủy ban nhân dân xã",
        "procedure": "e-copy",
        "officials": 0,
        "signed": 0,
        "alone": "",
        "keeper": "mai",
        "moment": _SINCE,
    }
    return SealAsked(**{**known, **changes})
