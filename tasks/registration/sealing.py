"""
A list is signed exactly once: by the official whom its page names, then by the agency; or by the agency alone.

The same five moments as for a dossier's document: intent committed, token asked, result checked, stored
under a name computed from the intent, kept. What it signs belongs to no dossier, so its rows are its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from infra.database import now
from infra.errors import Broken, Forbidden, Unavailable
from infra.history import Json
from infra.pdf.checking import SignatureFound, check_signed
from infra.pdf.signing import sign_field
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.papers import sha256_of, store_content
from tasks.registration.freezing import freeze_list
from tasks.registration.intents import AFTER, Intent, authority_now, intend, signed_fields, tell_end
from tasks.registration.lists import keep_paper, newest_paper
from tasks.registration.rounds import hold_round, tell
from tasks.registration.tables import PaperRow, PaperSignatureRow
from tasks.signing.authorising import Signer, same_authority

#: Seconds to wait for somebody who signs the same list.
PATIENCE = 60.0


def sign_list_page(code: str, ordinal: int, signer: Signer, *, expected_sha256: str | None = None) -> bool:
    """
    Give a list its next signature by this signer; return whether one was added now.

    `expected_sha256` is the page that was reviewed: another one is refused, because what is shown is what is
    signed. Raises `Forbidden` when a rule says no (the history records it), `Unavailable` when token or store
    are away, `Broken` when what the token gave does not verify. Repeating is harmless at every point.
    """
    freeze_list(code, ordinal)
    with services().database.locked(f"sign-list/{code}/{ordinal}", patience=PATIENCE) as alone:
        if not alone:
            raise Unavailable(f"somebody else has been signing list {ordinal} of {code} for a minute")
        task = intend(code, ordinal, signer, expected_sha256)
        return task is not None and _sign(task, signer)


def _sign(task: Intent, signer: Signer) -> bool:
    """Do what was intended; return whether a signature was kept now."""
    parts = services()
    with _told_when_it_fails(task, signer):
        previous = parts.work.get(task.document.key)
        if sha256_of(previous) != task.document.sha256:
            raise Broken(f"the page of list {task.ordinal} of {task.code} in the store is not the one frozen")
        if task.stored:
            # An earlier try got this far and died: what it stored is the signature of this step.
            signed = parts.work.get(task.key)
            return _keep(task, signer, signed, _check(task, signer, previous, signed))
        made = _make(task, signer, previous)
        found = _check(task, signer, previous, made)
        _, signed = parts.work.put_first(task.key, made, content_type="application/pdf")
    if signed != made:
        # Somebody with the same intent stored theirs first; ours is not used.
        tell_end(task, event="registration:signature-unused", facts={"cause": "another was stored first"})
        found = _check(task, signer, previous, signed)
    return _keep(task, signer, signed, found)


def _make(task: Intent, signer: Signer, previous: bytes) -> bytes:
    """Return the signed revision by one call of the token."""
    parts = services()
    return sign_field(
        previous,
        field=task.field,
        token=signer.token,
        image=signer.image,
        at=local(parts.clock.now()),
        certify=task.first,
        name=None,
        location=task.place,
        reason=None,
        chain=parts.chain,
    )


def _check(task: Intent, signer: Signer, previous: bytes, signed: bytes) -> SignatureFound:
    """Return what a validator says of a new revision; raises `Broken` when it may not be kept."""
    parts = services()
    return check_signed(
        previous,
        signed,
        field=task.field,
        certificate=signer.token.certificate,
        anchors=parts.anchors,
        chain=parts.chain,
        at=parts.clock.now(),
    )


@contextmanager
def _told_when_it_fails(task: Intent, signer: Signer) -> Iterator[None]:
    """
    Say in the history that a signature that was intended did not come to be, whatever the reason.

    While the database is away the try stays open, and whoever comes next says that it was interrupted.
    """
    before = signer.token.calls
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        facts: dict[str, Json] = {"cause": type(error).__name__, "called": signer.token.calls > before}
        if not task.stored:
            with suppress(Unavailable):
                tell_end(task, event="registration:signature-failed", facts=facts)
        raise


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
