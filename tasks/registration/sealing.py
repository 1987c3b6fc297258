"""
A list is signed exactly once: by the official whom its page names, then by the agency; or by the agency alone.

What it signs belongs to no dossier, so its rows and its entries are its own (`tasks.signing.once`).
"""

from __future__ import annotations

from infra.database import now
from infra.errors import Broken, Forbidden
from infra.history import Json
from infra.pdf.checking import SignatureFound
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.papers import store_content
from tasks.registration.freezing import freeze_list
from tasks.registration.intents import AFTER, Intent, authority_now, intend, signed_fields, tell_end
from tasks.registration.lists import keep_paper, newest_paper
from tasks.registration.rounds import hold_round, tell
from tasks.registration.tables import PaperRow, PaperSignatureRow
from tasks.signing.authorising import Signer, same_authority
from tasks.signing.once import Once, alone_at, sign_once


def sign_list_page(code: str, ordinal: int, signer: Signer, *, expected_sha256: str | None = None) -> bool:
    """
    Give a list its next signature by this signer; return whether one was added now.

    `expected_sha256` is the page that was reviewed: another one is refused, because what is shown is what is
    signed. Raises `Forbidden` when a rule says no (the history records it), `Unavailable` when token or store
    are away, `Broken` when what the token gave does not verify. Repeating is harmless at every point.
    """
    freeze_list(code, ordinal)
    with alone_at(f"sign-list/{code}/{ordinal}", f"list {ordinal} of {code}"):
        task = intend(code, ordinal, signer, expected_sha256)
        return task is not None and sign_once(_once(task, signer), signer)


def _once(task: Intent, signer: Signer) -> Once:
    """Return the signature of a list's page as it was intended."""
    return Once(
        what=f"list {task.ordinal} of {task.code}",
        document_key=task.document.key,
        document_sha256=task.document.sha256,
        field=task.field,
        first=task.first,
        place=task.place,
        key=task.key,
        stored=task.stored,
        image=signer.image,
        tell_end=lambda ending, facts: tell_end(task, event=f"registration:signature-{ending}", facts=facts),
        keep=lambda signed, found: _keep(task, signer, signed, found),
    )


def _keep(task: Intent, signer: Signer, signed: bytes, found: SignatureFound) -> bool:
    """Keep a checked signature, or say why it is not used; return whether it was kept now."""
    stored = store_content(signed, "application/pdf")
    refusal: Forbidden | None = None
    with services().database.transaction() as session:
        round_row = hold_round(session, task.code)
        row = session.get_one(PaperSignatureRow, task.row_id)
        if row.kept_at is not None:
            return False
        facts: dict[str, Json] = {
            "list": task.ordinal,
            "field": task.field,
            "try": task.number,
            "doc": {"sha256": stored.sha256, "size": stored.size},
            "certificate": row.certificate_sha256,
        }
        frozen = newest_paper(session, task.code, task.ordinal, "frozen")
        if frozen is None:
            raise Broken(f"list {task.ordinal} of {task.code} has lost its page")
        try:
            # The moment has passed since the intent: certificate, post or mandate may have ended, the day too.
            authority = authority_now(session, round_row, signer, signed_fields(session, frozen))
            same_authority(task.decision, authority, f"list {task.ordinal} of {task.code}")
            _must_be_the_day(task, found)
        except Forbidden as error:
            refusal = error
        row.open_try = False
        session.add(row)
        if refusal or frozen.revision != task.document.revision or row.kept_key != task.key:
            facts["cause"] = refusal.rule if refusal else "the page was made anew"
            tell(session, round_row, event="registration:signature-unused", by=task.actor, facts=facts)
        else:
            row.kept_sha256, row.level = stored.sha256, found.level
            row.signed_at, row.kept_at = found.time, now(session)
            after = {**task.document.model_dump(), "kind": AFTER[signer.role]}
            keep_paper(session, PaperRow(**after), stored)
            facts |= {"level": found.level, "authority": task.decision.facts()}
            tell(session, round_row, event="registration:signature-done", by=task.actor, facts=facts)
            return True
    if refusal:
        raise refusal
    return False


def _must_be_the_day(task: Intent, found: SignatureFound) -> None:
    """Refuse a first signature that was made on another day than the page says; the seal may follow later."""
    if task.first and local(found.time).date() != task.document.for_day:
        raise Forbidden(
            f"list {task.ordinal} of {task.code} was signed after midnight; it is dated {task.document.for_day}.",
            rule="CERT-26",
            way_out="Sign it again; the page is made anew under its number first.",
        )
