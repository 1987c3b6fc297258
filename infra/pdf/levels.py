"""
Which PAdES baseline level each signature of a file has really reached, read from the file alone.

The rules are those of ETSI EN 319 142-1 §6.3 as the European Commission's validator (EU DSS 6) applies them:

- **T**: a time-stamp in the signature, or a document time-stamp after it, made while the certificate was in force;
- **LT**: besides, a security store that proves of every certificate in the paths of the signer and of all
  time-stamps, the last document time-stamp excepted, that it was not revoked;
- **LTA**: besides, a document time-stamp over that store, which also covers an earlier time-stamp or the proofs
  of its own authority.

Only time-stamps count that verify and lead to an anchor. Nothing here goes to the network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import Literal

from asn1crypto import cms, x509  # type: ignore[import-untyped]
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter, validate_tst_signed_data
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from infra.certificates import ends_of, path_of
from infra.pdf.frames import certificates_in
from infra.pdf.proofs import Store
from infra.pdf.trust import common_name, context, finish
from infra.timestamp.reading import signer_of

Level = Literal["none", "B", "T", "LT", "LTA"]

#: The levels in their order, each holding those before it.
LEVELS: tuple[Level, ...] = ("none", "B", "T", "LT", "LTA")

#: What the levels are computed by; stored beside them.
RULES = "ETSI EN 319 142-1 §6.3, read as EU DSS 6 does"

_ID_DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampFound:
    """One time-stamp of a file that verifies and leads to an anchor."""

    kind: Literal["signature", "document"]
    #: The field of the signature that it is in, or its own.
    field: str
    time: datetime
    authority: str
    certificate: bytes  # DER
    token_sha256: str
    #: Hash and signature algorithm, as asn1crypto names them, for the dates on which they stop being believed.
    algorithms: tuple[str, ...]
    #: The revision of the file that it covers up to.
    revision: int
    #: Whether its authority's certificate, and those above it, are proved good in the file's newest store.
    proved: bool
    #: Until when that proof expected nothing new; `None`: there is no proof, or it did not say.
    known_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLevel:
    """The level of one signature."""

    field: str
    level: Level
    certificate: bytes  # DER
    #: The earliest moment at which it is proved to have existed; `None`: nothing proves any.
    proven: datetime | None
    #: Whether it has the form of a PAdES baseline signature; another agency's may have another.
    is_baseline: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a file proves by itself."""

    signatures: tuple[SignatureLevel, ...]
    timestamps: tuple[TimestampFound, ...]

    @property
    def level(self) -> Level:
        """
        The level of the file: that of its weakest PAdES signature.

        Another agency's signature of an older form has no level whatever is added, and gets the same evidence.
        """
        levels = [one.level for one in self.signatures if one.is_baseline]
        return min(levels, key=LEVELS.index, default="none")


def reaches(level: str, wanted: str) -> bool:
    """
    Say whether a level is as good as the one that is wanted.

    >>> reaches("LTA", "LT"), reaches("B", "T")
    (True, False)
    """
    names: tuple[str, ...] = LEVELS
    return names.index(level) >= names.index(wanted)


def evidence_of(reader: PdfFileReader, *, anchors: Sequence[bytes], chain: Sequence[bytes]) -> Evidence:
    """
    Return the levels of all signatures of a file, and its time-stamps in the order of their revisions.

    Whether the signatures themselves verify is asked elsewhere (`infra.pdf.checking`); a signature that is
    not a PAdES baseline signature in form has the level `none`. May raise whatever a damaged file makes
    the libraries raise.
    """
    return _Reading(reader, anchors, chain).evidence()


class _Reading:
    """One file, with what has been found out about it."""

    def __init__(self, reader: PdfFileReader, anchors: Sequence[bytes], chain: Sequence[bytes]) -> None:
        """Read the newest store."""
        self._reader, self._anchors = reader, tuple(anchors)
        self._store = Store.of(reader)
        self._signatures = list(reader.embedded_regular_signatures)
        self._stamps = list(reader.embedded_timestamp_signatures)
        self._chain = tuple(chain)

    @cached_property
    def _known(self) -> tuple[bytes, ...]:
        """Every certificate that may stand in a path; asked for only where there is a time-stamp or a proof."""
        brought = [
            one.dump()
            for embedded in (*self._signatures, *self._stamps)
            for one in certificates_in(embedded).other_certs
        ]
        return tuple(dict.fromkeys([*self._chain, *brought, *self._store.certificates]))

    def evidence(self) -> Evidence:
        """Put the answer together."""
        documents = [found for one in self._stamps if (found := self._document_stamp(one)) is not None]
        signatures, inner = [], []
        for embedded in self._signatures:
            stamps = self._signature_stamps(embedded)
            inner += stamps
            signatures.append(self._level(embedded, stamps, documents))
        return Evidence(
            signatures=tuple(signatures),
            timestamps=tuple(sorted([*inner, *documents], key=lambda one: (one.revision, one.time))),
        )

    def _level(
        self,
        embedded: EmbeddedPdfSignature,
        inner: list[TimestampFound],
        documents: list[TimestampFound],
    ) -> SignatureLevel:
        """Return the level of one signature."""
        certificate = certificates_in(embedded).signer_cert.dump()
        outer = [one for one in documents if one.revision > embedded.signed_revision]
        proven = min((one.time for one in (*inner, *outer)), default=None)
        level: Level = "none"
        if _is_baseline(embedded):
            level = "B"
            if proven is not None and proven <= ends_of(certificate):
                level = "T"
                if self._is_long_term(certificate, proven, inner, outer):
                    level = "LT"
                    if any(self._is_archival(one, certificate, proven, inner, outer) for one in outer):
                        level = "LTA"
        return SignatureLevel(
            field=embedded.field_name,
            level=level,
            certificate=certificate,
            proven=proven,
            is_baseline=level != "none",
        )

    def _is_long_term(
        self,
        certificate: bytes,
        proven: datetime,
        inner: list[TimestampFound],
        outer: list[TimestampFound],
    ) -> bool:
        """Say whether everything is proved about the signer and all time-stamps but the last of the document."""
        stamps = [*inner, *sorted(outer, key=lambda one: one.revision)[:-1]]
        return (
            self._store.present
            and self._is_proved(self._store, certificate, proven)
            and all(self._is_proved(self._store, one.certificate, one.time) for one in stamps)
        )

    def _is_archival(
        self,
        stamp: TimestampFound,
        certificate: bytes,
        proven: datetime,
        inner: list[TimestampFound],
        outer: list[TimestampFound],
    ) -> bool:
        """Say whether a document time-stamp keeps the proofs, and an earlier time-stamp or its own proofs."""
        covered = Store.of(self._reader.get_historical_resolver(stamp.revision))
        earlier = [*inner, *(one for one in outer if one.revision < stamp.revision)]
        return self._is_proved(covered, certificate, proven) and (
            bool(earlier) or self._is_proved(covered, stamp.certificate, stamp.time)
        )

    def _is_proved(self, store: Store, certificate: bytes, by: datetime) -> bool:
        """Say whether a store proves that a certificate and all below its anchor were good until a moment."""
        path = path_of(certificate, known=self._known, anchors=self._anchors)
        if path is None:
            return False
        return all(store.proves(one, above, by=by) for one, above in pairwise(path))

    def _known_until(self, certificate: bytes) -> datetime | None:
        """Return when the first of the answers about a path in the newest store ends."""
        path = path_of(certificate, known=self._known, anchors=self._anchors) or ()
        answers = [self._store.proof(one, above) for one, above in pairwise(path)]
        return min(
            (one.next_update for one in answers if one is not None and one.next_update is not None),
            default=None,
        )

    def _document_stamp(self, embedded: EmbeddedPdfSignature) -> TimestampFound | None:
        """Return a document time-stamp if it stands: over all bytes of its revision, by a trusted authority."""
        if embedded.sig_object.get("/SubFilter") != SigSeedSubFilter.ETSI_RFC3161.value:
            return None
        embedded.compute_integrity_info(skip_diff=True)  # type: ignore[no-untyped-call]
        if not _covers_its_revision(embedded):
            return None
        digest = embedded.compute_digest()
        content = cms.ContentInfo({"content_type": "signed_data", "content": embedded.signed_data})
        return self._stamp(content, digest, "document", embedded.field_name, embedded.signed_revision)

    def _signature_stamps(self, embedded: EmbeddedPdfSignature) -> list[TimestampFound]:
        """Return the time-stamps over a signature's value that stand."""
        imprint = hashlib.sha256(embedded.signer_info["signature"].native).digest()
        found = []
        for data in extract_tst_data_iter(embedded.signer_info, signed=False):
            content = cms.ContentInfo({"content_type": "signed_data", "content": data})
            stamp = self._stamp(content, imprint, "signature", embedded.field_name, embedded.signed_revision)
            if stamp is not None:
                found.append(stamp)
        return found

    def _stamp(
        self,
        token: cms.ContentInfo,
        imprint: bytes,
        kind: Literal["signature", "document"],
        field: str,
        revision: int,
    ) -> TimestampFound | None:
        """Return a time-stamp if it is over this hash, verifies, and led to an anchor at its own moment."""
        info = token["content"]["encap_content_info"]["content"].parsed
        if info["message_imprint"]["hash_algorithm"]["algorithm"].native != "sha256":
            return None
        moment = info["gen_time"].native.astimezone(UTC)
        certificate = signer_of(token)
        asked = context(anchors=self._anchors, chain=[*self._known, certificate.dump()], at=moment)
        try:
            status = finish(validate_tst_signed_data(token["content"], asked, lambda _: imprint))
        except SignatureValidationError:
            return None
        if not (status["intact"] and status["valid"]) or status["trust_problem_indic"] is not None:
            return None
        der = bytes(certificate.dump())
        return TimestampFound(
            kind=kind,
            field=field,
            time=moment,
            authority=common_name(certificate),
            certificate=der,
            token_sha256=hashlib.sha256(token.dump()).hexdigest(),
            algorithms=("sha256", _signature_algorithm(certificate)),
            revision=revision,
            proved=self._is_proved(self._store, der, moment),
            known_until=self._known_until(der),
        )


def _signature_algorithm(certificate: x509.Certificate) -> str:
    """Return what a time-stamp is signed with, as a date table names it: `rsa-2048`, `ecdsa-256`."""
    key = certificate.public_key
    kind = {"ec": "ecdsa"}.get(key.algorithm, key.algorithm)
    return f"{kind}-{key.bit_size}"


def _covers_its_revision(embedded: EmbeddedPdfSignature) -> bool:
    """Say whether a time-stamp is over every byte of the file up to the end of its own revision."""
    return embedded.coverage is not None and embedded.coverage >= SignatureCoverageLevel.ENTIRE_REVISION


def _is_baseline(embedded: EmbeddedPdfSignature) -> bool:
    """Say whether a signature has the form of the baseline level B (EN 319 142-1 §6.3, table 1)."""
    entries = embedded.sig_object
    if entries.get("/SubFilter") != SigSeedSubFilter.PADES.value or "/M" not in entries or "/Cert" in entries:
        return False
    if embedded.signed_data["encap_content_info"]["content"].native is not None:
        return False
    attributes = {one["type"].native: one["values"] for one in embedded.signer_info["signed_attrs"]}
    return (
        attributes.get("content_type", [None])[0] is not None
        and attributes["content_type"][0].native == _ID_DATA
        and "message_digest" in attributes
        and ("signing_certificate_v2" in attributes or "signing_certificate" in attributes)
        and "signing_time" not in attributes
        and certificates_in(embedded).signer_cert is not None
    )
