"""
What signatures a PDF carries, and whether a new one is what it was meant to be.

Two questions are asked. Of a document just signed: is it the previous bytes, one signature more, and
nothing else? Of any document: who signed, when, and does it hold? Nothing here goes to the network.
"""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from infra.clock import HANOI
from infra.errors import Broken, HosoError
from infra.pdf.frames import certificates_in, judge
from infra.pdf.increment import check_increment, follows
from infra.pdf.levels import Level, SignatureLevel, evidence_of
from infra.pdf.plain import PlainFirst
from infra.pdf.trust import common_name

#: What is said of a signature after which time-stamps and proofs were added, and nothing else.
EVIDENCE_ADDED = "evidence for its signatures was added"

#: What happened to the document after a signature, in the words of a report.
_CHANGES = {
    ModificationLevel.NONE: None,
    ModificationLevel.LTA_UPDATES: EVIDENCE_ADDED,
    ModificationLevel.FORM_FILLING: "it was signed again, or a form field was filled in",
    ModificationLevel.ANNOTATIONS: "notes were added",
    ModificationLevel.OTHER: "its content was changed",
}


_Key: TypeAlias = tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]]

#: How what came after a signature is judged.
_POLICY = PlainFirst()

#: So many documents are remembered: what a process has in hand.
_MOST_REMEMBERED = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFound:
    """One signature in a PDF, as it was found."""

    field: str
    signer: str  # common name in the certificate
    kind: Literal["certification", "approval"]
    level: Level  # PAdES baseline level that is really there, by `infra.pdf.levels.RULES`
    time: datetime  # aware; what the signature itself states, which level B cannot prove
    certificate_sha256: str  # lower-case hex, of the DER
    #: The signed bytes and the signature are unharmed, and nothing that it forbids came after it.
    intact: bool
    #: A path leads to an anchor, and the certificate was for signing and in force at the moment asked about.
    trusted: bool
    #: Every byte of the file is signed, the signature's own place excepted.
    covers_whole_file: bool
    #: What was appended after it, whether allowed or not; `None`: nothing.
    changed_after: str | None
    #: The earliest moment at which a time-stamp proves that it existed; `None`: nothing does.
    proven: datetime | None = None


_remembered: OrderedDict[_Key, tuple[SignatureFound, ...]] = OrderedDict()


def signatures_of(pdf: bytes, *, anchors: Sequence[bytes], chain: Sequence[bytes]) -> list[SignatureFound]:
    """
    Return the signatures of a PDF in the order in which they were made; a PDF without any has none.

    Each is trusted or not as of the moment that it states itself. Raises `Broken` for a file, or a
    signature in it, that cannot be read at all.

    What was found in the last few documents is remembered by the hash of their bytes, so a document that was just
    signed and checked, stored and read again is not taken apart a second time: the answer depends on nothing else.
    """
    known = _remembered.get(_key(pdf, anchors, chain))
    if known is not None:
        return list(known)
    with _translated():
        reader = PdfFileReader(io.BytesIO(pdf))
        levels = _levels(reader, anchors, chain)
        found = [_found(pdf, one, anchors, chain, None, levels) for one in reader.embedded_regular_signatures]
    _remember(_key(pdf, anchors, chain), found)
    return found


def check_signed(
    previous: bytes,
    signed: bytes,
    *,
    field: str,
    certificate: bytes,
    anchors: Sequence[bytes],
    chain: Sequence[bytes],
    at: datetime,
) -> SignatureFound:
    """
    Return the new signature if `signed` is `previous` with one good signature more, in `field`.

    The previous bytes are its beginning; the only increment after them holds that signature, which
    covers the whole file, verifies with the registered `certificate`, is trusted as of `at`, and
    changes nothing else; every earlier signature still holds. Raises `Broken` with the first of these
    that is not so. Pure: asking again gives the same answer.
    """
    if len(signed) <= len(previous) or not signed.startswith(previous):
        raise Broken("The signed document does not begin with the bytes that were to be signed.")
    with _translated():
        after = PdfFileReader(io.BytesIO(signed))
        follows(previous, after)
        _check_fields(after, field)
        made = after.embedded_regular_signatures
        check_increment(previous, after, field=field)
        *older, newest = made
        levels = _levels(after, anchors, chain)
        earlier = [_found(signed, one, anchors, chain, None, levels) for one in older]
        _check_older(earlier)
        _check_place(previous, signed, newest)
        found = _found(signed, newest, anchors, chain, at, levels)
        _check_newest(found, certificate)
        stated = judge(newest, anchors=anchors, chain=chain, at=found.time)
    _remember(_key(signed, anchors, chain), [*earlier, replace(found, trusted=stated.trusted)])
    return found


def _key(pdf: bytes, anchors: Sequence[bytes], chain: Sequence[bytes]) -> _Key:
    """Return all that the signatures of a document depend on."""
    return hashlib.sha256(pdf).digest(), tuple(anchors), tuple(chain)


def _remember(key: _Key, found: Sequence[SignatureFound]) -> None:
    """Remember what was found in a document; the one that was remembered first is forgotten."""
    _remembered[key] = tuple(found)
    if len(_remembered) > _MOST_REMEMBERED:
        _remembered.popitem(last=False)


def _check_fields(after: PdfFileReader, field: str) -> None:
    """
    Raise `Broken` unless the same fields are signed as before, and `field` as the newest of them.

    The signatures of the previous document are not read for that: the bytes that hold them are the same.
    """
    before = after.get_historical_resolver(after.xrefs.total_revisions - 2)
    was = {name for name, _, _ in enumerate_sig_fields(before, filled_status=True)}
    names = [one.field_name for one in after.embedded_signatures]
    if field in was or set(names) != was | {field} or len(names) != len(was) + 1 or names[-1] != field:
        raise Broken(f"The signed document has not just one signature more, in the field {field}.")


def _check_older(older: list[SignatureFound]) -> None:
    """Raise `Broken` if an earlier signature does not hold any more."""
    for one in older:
        if not one.intact:
            raise Broken(f"The earlier signature in {one.field} does not hold any more.")


def _check_place(previous: bytes, signed: bytes, newest: EmbeddedPdfSignature) -> None:
    """Raise `Broken` unless the unsigned gap is the new signature's own, after the previous bytes."""
    gap = _gap(signed, newest)
    if gap is None or gap[0] < len(previous):
        raise Broken(f"The signature in {newest.field_name} does not cover the whole document.")


def _check_newest(found: SignatureFound, certificate: bytes) -> None:
    """Raise `Broken` unless the new signature is the registered certificate's, good and trusted."""
    if found.certificate_sha256 != hashlib.sha256(certificate).hexdigest():
        raise Broken(
            f"The signature in {found.field} was made with another certificate than the registered one."
        )
    if not found.intact:
        raise Broken(f"The signature in {found.field} does not verify.")
    if not found.trusted:
        raise Broken(f"The signature in {found.field} was made with a certificate that is not trusted.")
    if found.level == "none":
        raise Broken(f"The signature in {found.field} is not a PAdES signature.")


def _found(
    pdf: bytes,
    embedded: EmbeddedPdfSignature,
    anchors: Sequence[bytes],
    chain: Sequence[bytes],
    at: datetime | None,
    levels: Mapping[str, SignatureLevel],
) -> SignatureFound:
    """Examine one signature, its certificate as of `at` or else of the time that it states."""
    time = embedded.self_reported_timestamp
    if time is None:
        raise Broken(f"The signature in {embedded.field_name} does not say when it was made.")
    if time.utcoffset() is None:
        time = time.replace(tzinfo=HANOI)
    embedded.compute_integrity_info(_POLICY)  # type: ignore[no-untyped-call]
    allowed = embedded.summarise_integrity_info()["docmdp_ok"]
    judgement = judge(embedded, anchors=anchors, chain=chain, at=at or time)
    certificate = certificates_in(embedded).signer_cert
    return SignatureFound(
        field=embedded.field_name,
        signer=common_name(certificate),
        kind="certification" if _certifies(embedded) else "approval",
        level=levels[embedded.field_name].level,
        time=time,
        proven=levels[embedded.field_name].proven,
        certificate_sha256=hashlib.sha256(certificate.dump()).hexdigest(),
        intact=bool(judgement.holds and allowed),
        trusted=judgement.trusted,
        covers_whole_file=_gap(pdf, embedded) is not None,
        changed_after=_changes(embedded),
    )


def _levels(
    reader: PdfFileReader, anchors: Sequence[bytes], chain: Sequence[bytes]
) -> dict[str, SignatureLevel]:
    """Return the level of each signature by its field."""
    return {one.field: one for one in evidence_of(reader, anchors=anchors, chain=chain).signatures}


def _certifies(embedded: EmbeddedPdfSignature) -> bool:
    """Say whether this is the signature that the document's /Perms names (ISO 32000-2 §12.8.2.2)."""
    permissions = embedded.reader.root.get("/Perms")
    if permissions is None or "/DocMDP" not in permissions:
        return False
    certifying = permissions.raw_get("/DocMDP")
    value = embedded.sig_field.raw_get("/V")
    return bool(certifying.reference == value.reference)


def _changes(embedded: EmbeddedPdfSignature) -> str | None:
    """Return what was appended after a signature, in words."""
    result = embedded.diff_result
    level = result.modification_level if isinstance(result, DiffResult) else ModificationLevel.OTHER
    return _CHANGES[level]


def _gap(pdf: bytes, embedded: EmbeddedPdfSignature) -> tuple[int, int] | None:
    """
    Return where the unsigned gap of a signature begins and ends, if all the rest of the file is signed.

    The gap must be the hexadecimal string of the signature itself, because whatever else it held
    could be changed unnoticed (ISO 32000-2 §12.8.1).
    """
    numbers = [int(number) for number in embedded.byte_range]
    if len(numbers) != 4:
        return None
    start, opening, closing, rest = numbers
    if start != 0 or not 0 < opening < closing or closing + rest != len(pdf):
        return None
    if pdf[opening : opening + 1] != b"<" or pdf[closing - 1 : closing] != b">":
        return None
    if pdf[opening + 1 : closing - 1].lower() != embedded.pkcs7_content.hex().encode():
        return None
    return opening, closing


@contextmanager
def _translated() -> Iterator[None]:
    """
    Turn whatever a damaged or hostile file makes the libraries raise into `Broken`.

    Everything is caught, because parsers fail on such files with any exception there is.
    """
    try:
        yield
    except HosoError:
        raise
    except Exception as error:
        raise Broken(f"The PDF or a signature in it cannot be read ({type(error).__name__}).") from error
