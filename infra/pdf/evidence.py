"""
Evidence that is added to a signed document: time-stamps, and proofs that certificates were good.

Each step is one increment: the proofs that are still lacking, then, where one is needed, a document
time-stamp over everything. Proofs are gathered here, from the ports that are handed in; pyHanko never goes
to the network. Sources: ETSI EN 319 142-1 §5.4 and §6.3, ISO 32000-2 §12.8.4.3 and §12.8.5.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from asn1crypto import crl, ocsp  # type: ignore[import-untyped]
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, ModificationLevel, SuspiciousModification
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore

from infra.certificates import ends_of, path_of
from infra.clock import HANOI
from infra.errors import Broken, Forbidden
from infra.pdf.cms import DIGEST
from infra.pdf.levels import Evidence, Level, evidence_of, reaches
from infra.pdf.proofs import Store
from infra.pdf.stamping import TOKEN_ROOM, PortStamper
from infra.pdf.trust import finish, parsed
from infra.revocation import Revocation, RevocationAnswer, Revoked
from infra.timestamp import Timestamp, Timestamps


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """A document with more evidence, and what it took."""

    pdf: bytes
    evidence: Evidence
    stamps: tuple[Timestamp, ...]  # the time-stamps that were added, in order
    answers: tuple[RevocationAnswer, ...]  # the proofs that were added


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Whom evidence comes from, whom to trust, and the moment (aware) that it is gathered at."""

    timestamps: Timestamps
    revocation: Revocation
    anchors: Sequence[bytes]
    chain: Sequence[bytes]
    at: datetime


class _Increment(IncrementalPdfFileWriter):
    """An update that adds evidence and leaves the document's metadata as its author wrote it."""

    def _update_meta(self) -> None:
        """Write neither a new producer nor a date of this machine's clock."""


def lift(pdf: bytes, wanted: Level, sources: Sources, *, by_document: bool) -> Lifted:
    """
    Return `pdf` with the evidence that it lacks for a level, appended; the same bytes if it lacks none.

    With `by_document` one time-stamp over the whole document serves for every signature in it, with the
    proofs before it, so that the first request to an authority brings all levels at once. Without, each
    signature brought its own time-stamp, and the document's comes only with LTA.

    Raises `NoTimestamp` and `NoRevocationAnswer` when an authority does not answer, `Revoked` for a signer
    or an authority whose certificate was revoked before it is proved to have been used, `Forbidden` for a
    certificate that names nobody to ask or ended before anything proved when it was used, `Broken` for a
    file without signatures or one that cannot be extended. Nothing of the document is changed.
    """
    stamps: list[Timestamp] = []
    answers: list[RevocationAnswer] = []
    evidence = read_evidence(pdf, sources)
    # A second round is needed when another authority answered than was prepared for.
    for _ in range(3):
        if evidence.signatures and reaches(evidence.level, wanted):
            return Lifted(pdf=pdf, evidence=evidence, stamps=tuple(stamps), answers=tuple(answers))
        _must_be_in_time(evidence, sources.at)
        with_proofs = wanted in ("LT", "LTA")
        lone = not reaches(evidence.level, "T")
        with_stamp = wanted == "LTA" or (lone and by_document) or (lone and wanted == "T")
        pdf, added, gathered = _extend(pdf, evidence, sources, proofs=with_proofs, stamp=with_stamp)
        stamps += added
        answers += gathered
        evidence = read_evidence(pdf, sources)
    raise Broken(f"the document does not reach {wanted} but {evidence.level}, whatever is added")


def _must_be_in_time(evidence: Evidence, at: datetime) -> None:
    """Refuse a document one of whose signers' certificates ended before anything proved when it was signed."""
    for one in evidence.signatures:
        if one.proven is None and one.is_baseline:
            must_be_in_force(one.certificate, at=at, signed=f"the signature in {one.field}")


def must_be_in_force(certificate: bytes, *, at: datetime, signed: str) -> None:
    """Raise `Forbidden` if the certificate of a signature that nothing proves the time of is over at a moment."""
    if (end := ends_of(certificate)) < at:
        raise Forbidden(
            f"the certificate {parsed(certificate).serial_number:x} of {signed} expired on"
            f" {end.astimezone(HANOI):%d/%m/%Y %H:%M:%S}, before anything proved when it was signed.",
            rule="PKI-05",
            way_out="Let the document be made anew under its number and signed again.",
        )


def renew(pdf: bytes, sources: Sources) -> Lifted:
    """
    Return `pdf` with one document time-stamp more, over proofs for the ones before it (EN 319 142-1 §5.4.3).

    It is to be called before the last time-stamp's authority or algorithms end. Errors as for `lift`.
    """
    evidence = read_evidence(pdf, sources)
    made, stamps, answers = _extend(pdf, evidence, sources, proofs=True, stamp=True)
    return Lifted(
        pdf=made, evidence=read_evidence(made, sources), stamps=tuple(stamps), answers=tuple(answers)
    )


def read_evidence(pdf: bytes, sources: Sources) -> Evidence:
    """Return what a file proves by itself; raises `Broken` for one that cannot be read."""
    with _translated():
        return evidence_of(PdfFileReader(io.BytesIO(pdf)), anchors=sources.anchors, chain=sources.chain)


def _extend(
    pdf: bytes, evidence: Evidence, sources: Sources, *, proofs: bool, stamp: bool
) -> tuple[bytes, list[Timestamp], list[RevocationAnswer]]:
    """Return the document with one increment more: the proofs that it lacks, a time-stamp, or both."""
    answers: list[RevocationAnswer] = []
    certificates: list[bytes] = []
    if proofs:
        certificates, answers = _gather(pdf, evidence, sources, stamp=stamp)
    if not answers and not stamp:
        raise Broken("there is nothing that could be added to the document's evidence")
    if not stamp:
        return _written(pdf, certificates, answers), [], answers
    made, stamps = _stamped(pdf, certificates, answers, sources)
    return made, stamps, answers


def _gather(
    pdf: bytes, evidence: Evidence, sources: Sources, *, stamp: bool
) -> tuple[list[bytes], list[RevocationAnswer]]:
    """Return every certificate that a validator will need, and the proofs that the document lacks."""
    with _translated():
        reader = PdfFileReader(io.BytesIO(pdf))
        store = Store.of(reader)
        brought = [
            one.dump() for embedded in reader.embedded_signatures for one in embedded.other_embedded_certs
        ]
    known = (*sources.chain, *brought, *store.certificates)
    asked = [(one.certificate, one.proven) for one in evidence.signatures]
    asked += [(one.certificate, one.time) for one in evidence.timestamps]
    if stamp:
        asked += [(one, None) for one in sources.timestamps.authorities(at=sources.at)]
    needed: dict[bytes, None] = {}
    answers: dict[bytes, RevocationAnswer] = {}
    for certificate, proven in asked:
        path = path_of(certificate, known=known, anchors=sources.anchors)
        if path is None:
            raise Forbidden(
                "a certificate in the document does not lead to one that is trusted here.",
                rule="PKI-05",
                way_out="Add the missing authority's certificate to the office's folder of anchors and chains.",
            )
        needed |= dict.fromkeys(path[:-1])
        for one, issuer in pairwise(path):
            if one not in answers and not store.proves(one, issuer, by=proven):
                answers[one] = ask(sources, one, issuer, by=proven)
    return list(needed), list(answers.values())


def ask(sources: Sources, certificate: bytes, issuer: bytes, *, by: datetime | None) -> RevocationAnswer:
    """
    Return the proof that a certificate is good, or was until the proven moment `by`.

    Raises `Revoked` when it was not, `Forbidden` when it names nobody to ask, `NoRevocationAnswer`.
    """
    answer = sources.revocation.ask(certificate, issuer=issuer, at=sources.at)
    serial = f"{parsed(certificate).serial_number:x}"
    if answer is None:
        raise Forbidden(
            f"the certificate {serial} names nobody who could say whether it is revoked.",
            rule="PKI-05",
            way_out="Use a certificate that names an OCSP responder or a CRL.",
        )
    must_be_good(answer, by=by)
    return answer


def must_be_good(answer: RevocationAnswer, *, by: datetime | None = None) -> None:
    """Raise `Revoked` unless an answer says that its certificate is good, or was until the proven moment `by`."""
    serial = f"{parsed(answer.certificate).serial_number:x}"
    if answer.status == "unknown":
        raise Revoked(
            f"the certificate {serial} is not known to the authority that is named as its issuer.",
            rule="PKI-05",
            way_out="Ask the authority; until it knows the certificate nothing is signed with it.",
        )
    if answer.status == "revoked" and (by is None or answer.revoked_at is None or answer.revoked_at <= by):
        since = (
            ""
            if answer.revoked_at is None
            else f" on {answer.revoked_at.astimezone(HANOI):%d/%m/%Y %H:%M:%S}"
        )
        why = f" ({answer.reason})" if answer.reason else ""
        raise Revoked(
            f"the certificate {serial} was revoked{since}{why}.",
            rule="PKI-05",
            way_out="Sign with a certificate that is in force; what it signed before needs a decision.",
        )


def _written(pdf: bytes, certificates: Iterable[bytes], answers: Iterable[RevocationAnswer]) -> bytes:
    """Return the document with a security store that holds these besides what it held."""
    with _translated():
        writer = _Increment(io.BytesIO(pdf))
        _supply(writer, certificates, answers)
        out = io.BytesIO()
        writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def _supply(writer: _Increment, certificates: Iterable[bytes], answers: Iterable[RevocationAnswer]) -> None:
    """Put certificates and proofs into the document's security store."""
    proofs = list(answers)
    DocumentSecurityStore.supply_dss_in_writer(
        writer,
        None,  # by signature (VRI) nothing is said: the standard leaves it out, and validators look at the whole
        certs=[parsed(one) for one in certificates],
        ocsps=[ocsp.OCSPResponse.load(one.proof) for one in proofs if one.kind == "ocsp"],
        crls=[
            crl.CertificateList.load(proof)
            for proof in dict.fromkeys(one.proof for one in proofs if one.kind == "crl")
        ],
    )


def _stamped(
    pdf: bytes,
    certificates: Sequence[bytes],
    answers: Sequence[RevocationAnswer],
    sources: Sources,
) -> tuple[bytes, list[Timestamp]]:
    """Return the document with proofs, if any, and a document time-stamp over all of it."""
    stamper = PortStamper(sources.timestamps, sources.at)
    room = TOKEN_ROOM
    while True:
        with _translated():
            writer = _Increment(io.BytesIO(pdf))
            number = 1 + len(writer.prev.embedded_timestamp_signatures)
            if answers:
                _supply(writer, certificates, answers)
            work = PdfTimeStamper(stamper, field_name=f"timestamp_{number}").async_timestamp_pdf(
                writer, DIGEST, bytes_reserved=2 * room
            )
            try:
                output = finish(work)
            except SigningError:
                # The token was larger than the room for it.
                if not stamper.given or len(stamper.given[-1].token) <= room:
                    raise
                room = len(stamper.given[-1].token) + 512
                continue
        assert isinstance(output, io.BytesIO)
        return output.getvalue(), stamper.given


def check_lifted(previous: bytes, lifted: bytes) -> None:
    """
    Raise `Broken` unless `lifted` is `previous` and, after it, evidence and nothing else.

    Every increment is compared with the revision before it. Whether the signatures still hold is asked of
    `infra.pdf.checking.signatures_of`.
    """
    if len(lifted) <= len(previous) or not lifted.startswith(previous):
        raise Broken("The document with evidence does not begin with the document that was signed.")
    with _translated():
        before, after = PdfFileReader(io.BytesIO(previous)), PdfFileReader(io.BytesIO(lifted))
        if [one.field_name for one in before.embedded_regular_signatures] != [
            one.field_name for one in after.embedded_regular_signatures
        ]:
            raise Broken("A signature was added or lost with the evidence.")
        first = before.xrefs.total_revisions
        if after.xrefs.total_revisions <= first:
            raise Broken("What follows the document is no revision of it.")
        for number in range(first, after.xrefs.total_revisions):
            old, new = after.get_historical_resolver(number - 1), after.get_historical_resolver(number)
            try:
                found = DEFAULT_DIFF_POLICY.apply(old, new, doc_mdp=MDPPerm.NO_CHANGES)
            except SuspiciousModification as error:
                raise Broken(f"Something else than evidence was added to the document: {error}") from error
            if found.modification_level > ModificationLevel.LTA_UPDATES:
                raise Broken("Something else than evidence was added to the document.")


def sha256_of_token(stamp: Timestamp) -> str:
    """Return the SHA-256 of a time-stamp's token in lower-case hex, by which the history names it."""
    return hashlib.sha256(stamp.token).hexdigest()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn pyHanko's exceptions into decisions; ours pass as they are."""
    try:
        yield
    except (SigningError, PdfError) as error:
        raise Broken(f"Evidence cannot be added to the document ({type(error).__name__}).") from error
