"""Another agency's signed result: judged, then made ready for the centre's own signature (SIG-10, SIG-19)."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import asdict, dataclass

from sqlmodel import Session

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.object_store import Stored
from infra.pdf.fields import place_fields
from infra.pdf.foreign import Examined, Wanted
from infra.pdf.places import FieldPlace
from infra.services import services
from tasks.certification.rules import result_faults
from tasks.dossier.calendar import local
from tasks.dossier.lifecycle import Stage, Standing
from tasks.dossier.looking import hold, look, office_of, original_of, originals_of, procedure_of
from tasks.dossier.moves import Actor, Telling, follow, move_to
from tasks.dossier.offices import OfficeData
from tasks.dossier.papers import Paper, keep, newest, read, store_content
from tasks.dossier.procedures import Procedure, SignatureStep
from tasks.dossier.routes import address, steps_for
from tasks.dossier.tables import DocumentRow
from tasks.dossier.waiting import results_awaited
from tasks.evidence.foreign import judge
from tasks.forms.appearances import Look, Profile, inscription, profile_on
from tasks.forms.heads import letterhead_of
from tasks.forms.placing import corner_box
from tasks.forms.printing import delivery_note
from tasks.forms.values import DeliveryNote, NotedSignature

_A4 = {"width": 210.0, "height": 297.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """A result that is to be judged, and what its dossier says of it."""

    code: str
    ordinal: int
    kind: str
    document: DocumentRow
    office: OfficeData
    procedure: Procedure
    profile: Profile
    #: How it is signed: as the procedure's results are, or as an attachment (SIG-06).
    step: SignatureStep
    #: Number and notation that the signature on an attachment shows.
    notation: str

    @property
    def attached(self) -> bool:
        """Whether it is attached to another one."""
        return self.step.shows == "attachment"

    @property
    def look(self) -> Look:
        """Return how the centre's signature looks."""
        return self.profile.look("attachment" if self.attached else "result")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """What the centre signs: the result with an empty field, or a delivery note."""

    content: bytes
    facts: dict[str, object]


def results_to_accept(code: str) -> list[int]:
    """Return the other agencies' results that were received and not looked at yet."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        if dossier.stage != Stage.RECEIVED or procedure_of(session, dossier).kind != "return":
            return []
        return [
            o.ordinal
            for o in originals_of(session, code)
            if o.standing == Standing.RECEIVED and newest(session, code, o.ordinal, "result") is not None
        ]


def take_result(session: Session, code: str, stored: Stored, *, sender: str, by: Actor) -> int:
    """
    Let a file that the resolving agency sent be the next awaited result of a dossier; return its original (DOS-27).

    It is judged like one that was received at the counter. Refuses a dossier that awaits none. The same file again
    changes nothing.
    """
    dossier = hold(session, code)
    for original in originals_of(session, code):
        known = newest(session, code, original.ordinal, "result")
        if known is not None and known.sha256 == stored.sha256:
            return original.ordinal
    awaited = results_awaited(session, code)
    if not awaited:
        raise Forbidden(
            f"dossier {code} awaits no result.",
            rule="DOS-27",
            way_out="“hoso show” says what it waits for; return what came for nothing with “hoso exchange return”.",
        )
    original = original_of(session, code, awaited[0])
    original.revision += 1 if original.standing == Standing.LEFT_OUT else 0
    original.standing, original.reason = Standing.RECEIVED, None
    session.add(original)
    keep(
        session,
        Paper(dossier=code, kind="result", ordinal=original.ordinal, revision=original.revision),
        stored,
    )
    facts: dict[str, Json] = {
        "original": original.ordinal,
        "sender": sender,
        "doc": {"sha256": stored.sha256, "size": stored.size},
    }
    if dossier.stage == Stage.RETURNED_TO_EXAMINER:
        move_to(session, dossier, Stage.RECEIVED, Telling(event="result:came", by=by, facts=facts))
    else:
        follow(session, dossier, Telling(event="result:came", by=by, facts=facts))
    return original.ordinal


def accept_result(code: str, ordinal: int) -> bool:
    """
    Judge another agency's result, keep the verdict, make ready what the centre signs; return whether it holds.

    A result that holds stays as it is (SIG-10): where it allows a further signature, the centre's field is
    added behind it; otherwise a delivery note that names its hash and its signatures is set, to be signed
    in its place. One that does not hold goes back to the examiner with the reason. Doing it again
    changes nothing. Raises `NoRevocationAnswer` when nobody says whether a signer's certificate is revoked
    (PKI-05), `Unavailable` when no process can be started to read it in.
    """
    result = _begin(code, ordinal)
    if result is None:
        return False
    parts = services()
    examined, unasked = judge(
        read(result.document),
        Wanted(
            field=result.step.field,
            width=result.look.width,
            height=result.look.height,
            margin=result.look.margin,
            corners=result.look.corners,
            unsigned=result.attached,
        ),
    )
    faults = result_faults(examined, refuse_weak=result.procedure.weak_signatures == "refuse") + unasked
    verdict = store_content(_verdict(examined, faults), "application/json")
    ready = None if faults else _make_ready(result, examined)
    stored = store_content(ready.content, "application/pdf") if ready else None
    with parts.database.transaction() as session:
        dossier, original = hold(session, code), original_of(session, code, ordinal)
        if original.standing != Standing.RECEIVED:
            return False
        original.reason = "; ".join(faults) or None
        facts: dict[str, Json] = {
            "original": ordinal,
            "doc": {
                "sha256": result.document.sha256,
                "size": result.document.size,
                "sig_count": len(examined.signatures),
            },
            "sound": not faults,
            "verdict": {"sha256": verdict.sha256},
            "way": "none" if faults else "as it is",
        }
        revision = original.revision + 1
        keep(
            session,
            Paper(
                dossier=code,
                kind="verdict",
                ordinal=ordinal,
                revision=revision,
                media_type="application/json",
            ),
            verdict,
        )
        original.revision = revision
        original.standing = Standing.LEFT_OUT if faults else Standing.VALID
        if ready is not None and stored is not None:
            paper = Paper(dossier=code, kind="frozen", ordinal=ordinal, revision=revision, facts=ready.facts)
            keep(session, paper, stored)
            original.standing = Standing.APPROVED
            facts["way"] = "note" if ready.facts.get("note") else "block"
            facts["frozen"] = {"sha256": stored.sha256, "size": stored.size}
        session.add(original)
        follow(session, dossier, Telling(event="result:checked", facts=facts))
    return not faults


def _begin(code: str, ordinal: int) -> _Result | None:
    """Read what is known of a result; `None` when it was judged before."""
    with services().database.transaction() as session:
        dossier = look(session, code)
        document = newest(session, code, ordinal, "result")
        original = original_of(session, code, ordinal)
        if document is None or original.standing != Standing.RECEIVED:
            return None
        return _Result(
            code=code,
            ordinal=ordinal,
            kind=original.kind,
            document=document,
            office=office_of(session, dossier.office),
            procedure=procedure_of(session, dossier),
            profile=profile_on(local(now(session)).date()),
            step=steps_for(original, procedure_of(session, dossier))[-1],
            notation=original.notation,
        )


def _make_ready(result: _Result, examined: Examined) -> _Ready | None:
    """Return what the centre signs; `None` where the procedure's version does not ask it to sign."""
    if result.step.purpose not in ("result", "attachment"):
        return None
    facts = address([])
    held = {"profile": result.profile.code, "width": result.look.width, "height": result.look.height}
    facts["look"] = held
    weak = any(one.weak for one in examined.signatures)
    if examined.prepared is not None and not weak:
        facts["foreign"] = len(examined.signatures)
        # Whoever signs next asks again whether these are in force (PKI-05).
        theirs = dict.fromkeys(one for chain in examined.chains for one in chain[-1:])
        facts["foreign_certificates"] = [b64encode(one).decode() for one in theirs]
        return _Ready(content=examined.prepared, facts=facts)
    facts["note"] = True
    facts["because"] = "weak" if weak else examined.why_not
    return _Ready(content=_note(result, examined), facts=facts)


def _note(result: _Result, examined: Examined) -> bytes:
    """Return the delivery note of a result, with the field of the centre's signature on top."""
    moment = local(services().clock.now())
    text = inscription(result.look, result.office, number=result.notation)
    corner = result.look.corners[0] if result.look.corners else "top-right"
    rect = corner_box(text, corner, office=result.office, at=moment, **_A4)
    note = DeliveryNote(
        head=letterhead_of(result.office),
        date=moment,
        code=result.code,
        ordinal=result.ordinal,
        procedure=result.procedure.name,
        kind=result.kind,
        sha256=result.document.sha256,
        size=result.document.size,
        signatures=tuple(
            NotedSignature(signer=one.signer, organisation=one.organisation, issuer=one.issuer, at=one.at)
            for one in examined.signatures
        ),
        verify_url=services().settings.verify_url,
    )
    place = FieldPlace(name=result.step.field, page=0, rect=rect)
    return place_fields(delivery_note(note), [place])


def _verdict(examined: Examined, faults: list[str]) -> bytes:
    """Return the verdict as the dossier keeps it: JSON, sorted, without the moment it was given."""
    said = {
        "sound": not faults,
        "faults": faults,
        "unreadable": examined.unreadable,
        "file_faults": list(examined.faults),
        "why_no_field": examined.why_not,
        "signatures": [asdict(one) for one in examined.signatures],
    }
    return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
