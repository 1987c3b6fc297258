"""Devices: who has each one, where it is, and every hand-over by its minutes (SIG-13)."""

from __future__ import annotations

from sqlmodel import Session, col, select

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.history.recording import record
from infra.services import services
from tasks.certificates.records import holder_facts
from tasks.certificates.tables import CertificateRow, TokenHandOverRow, TokenRow
from tasks.dossier.moves import Actor
from tasks.people.acting import acting
from tasks.people.persons import works_here


def hand_over_token(
    serial: str, *, to: str, place: str, approved_by: str, minutes: str, by: Actor
) -> TokenRow:
    """
    Record that a device goes to somebody, approved by somebody, by minutes.

    Nobody approves a hand-over to themselves. An own key stays with its owner, and the agency's has a
    hand-over of its own, because sealing asks who keeps it (SIG-13). Again with the same minutes changes nothing.
    """
    with services().database.transaction() as session:
        token = _token(session, serial)
        by = acting(session, by, "token hand-over", office=token.office)
        query = select(TokenHandOverRow).where(
            TokenHandOverRow.token == token.serial, TokenHandOverRow.minutes == minutes
        )
        if session.exec(query).first() is not None:
            return token
        _may_go(session, token, to, approved_by)
        session.add(
            TokenHandOverRow(
                token=token.serial,
                from_keeper=token.keeper,
                to_keeper=to,
                approved_by=approved_by,
                minutes=minutes,
                place=place,
                recorded_by=by.staff,
                at=now(session),
            )
        )
        facts: dict[str, Json] = {
            "event": "token:handed-over",
            "actor": by.facts(),
            "office": token.office,
            "token": token.serial,
            "from": holder_facts(token.office, token.keeper),
            "to": holder_facts(token.office, to),
            "approved_by": holder_facts(token.office, approved_by),
            "minutes": minutes,
        }
        token.keeper, token.place = to, place
        session.add(token)
        record(session, f"token/{token.serial}", facts)
        return token


def _may_go(session: Session, token: TokenRow, to: str, approved_by: str) -> None:
    """Refuse a hand-over to nobody, without another one's approval, or of somebody's own key to another."""
    for staff in (to, approved_by):
        if works_here(session, token.office, staff) is None:
            raise Forbidden(
                f"nobody at {token.office} has the staff code “{staff}”.",
                rule="SIG-13",
                way_out="Name somebody who works there today: “hoso person list”.",
            )
    if to == approved_by:
        raise Forbidden(
            f"{to} cannot approve a hand-over to {to}.",
            rule="SIG-13",
            way_out="Name who approved it in writing.",
        )
    query = select(CertificateRow).where(
        CertificateRow.token_serial == token.serial,
        col(CertificateRow.ended_at).is_(None),
        CertificateRow.holder != to,
    )
    other = session.exec(query).first()
    if other is None:
        return
    if not other.holder:
        raise Forbidden(
            f"the token {token.serial} holds the agency's key.",
            rule="SIG-13",
            way_out="Record who keeps it with “hoso seal hand-over”.",
        )
    raise Forbidden(
        f"the token {token.serial} holds the own key of {other.holder}.",
        rule="SIG-13",
        way_out="A personal key stays with its owner; revoke its certificate before the device changes hands.",
    )


def _token(session: Session, serial: str) -> TokenRow:
    """Return a device, locked; refuses a serial number that none has."""
    row = session.exec(select(TokenRow).where(TokenRow.serial == serial).with_for_update()).one_or_none()
    if row is None:
        raise Forbidden(
            f"no token has the serial number “{serial}”.",
            rule="SIG-13",
            way_out="“hoso token list” names them; a token is known once a certificate on it was registered.",
        )
    return row
