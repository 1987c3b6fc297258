"""
What is the same in all signatures of one signer is found out once.

Two CMS objects (RFC 5652) that differ in the digest of the document and in the value of the signature only, each of
the same length at the same place, share everything else: certificates, attributes, algorithms. That is their
frame. Which certificate is the signer's is a function of the frame. So is pyHanko's verdict on a signature, but
for three things, which are looked at each time: the digest, the value, and whether the moment that is asked
about lies within the validity of the certificates on its path.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.general import SignedDataCerts
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from infra.certificates import read_certificate
from infra.pdf.trust import context, finish

#: So many frames are remembered: some for each signer of an office.
_REMEMBERED = 256

_DIGEST_SIZE = 32  # bytes of SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A CMS object with zeros where the document's digest and the signature's value were."""

    encoded: bytes
    digest_at: int
    value_size: int  # bytes; the value is the last thing in the object


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is to be said of a signature's CMS object and its certificate."""

    #: The digest is that of the signed bytes, and the value verifies with the signer's certificate.
    holds: bool
    #: It holds, and a path led to an anchor at the moment asked about, for a certificate that is for signing.
    trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trusted:
    """That pyHanko trusted a signature of some frame, and between which moments its path is in force."""

    certificate: bytes
    since: datetime
    until: datetime


_trusted: OrderedDict[tuple[Frame, bytes], _Trusted] = OrderedDict()


def certificates_in(embedded: EmbeddedPdfSignature) -> SignedDataCerts:
    """Return the certificates in a signature, the signer's told from the others; raises what pyHanko raises."""
    frame = _frame_of(embedded)
    if frame is None:
        return extract_certs_for_validation(embedded.signed_data)
    return _certificates(frame)


@lru_cache(maxsize=_REMEMBERED)
def _certificates(frame: Frame) -> SignedDataCerts:
    """Return the certificates in all signatures of a frame."""
    return extract_certs_for_validation(cms.ContentInfo.load(frame.encoded)["content"])


def judge(
    embedded: EmbeddedPdfSignature, *, anchors: Sequence[bytes], chain: Sequence[bytes], at: datetime
) -> Judgement:
    """
    Return pyHanko's verdict on a signature's CMS object and certificate as of the moment `at` (aware).

    The first signature of each frame is judged by pyHanko itself. Only good verdicts are remembered. What came
    after the signature in its file is not looked at. Raises what pyHanko raises.
    """
    frame = _frame_of(embedded)
    key = (frame, _digest([*anchors, b"", *chain])) if frame is not None else None
    known = _trusted.get(key) if key is not None else None
    if known is not None and known.since <= at <= known.until:
        holds = _verifies(embedded, known.certificate)
        return Judgement(holds=holds, trusted=holds)
    asked = context(anchors=anchors, chain=chain, at=at)
    status = finish(async_validate_pdf_signature(embedded, signer_validation_context=asked, skip_diff=True))
    judgement = Judgement(holds=bool(status.intact and status.valid), trusted=bool(status.trusted))
    if judgement.trusted and key is not None and status.validation_path is not None:
        path = list(status.validation_path.iter_certs(include_root=True))
        _remember(
            key,
            _Trusted(
                certificate=status.signing_cert.dump(),
                since=max(one.not_valid_before for one in path),
                until=min(one.not_valid_after for one in path),
            ),
        )
    return judgement


def _frame_of(embedded: EmbeddedPdfSignature) -> Frame | None:
    """
    Return a signature's frame; `None` if it has not the form of ours, or the digest of another document.

    The digest must be there exactly once. In a signature that pyHanko has found to hold, that is the place of
    its message-digest attribute, so in every other of its frame it is too. Anything behind the value, such as a
    time-stamp, would be part of no signature, so the value must come last.
    """
    entries, signer = embedded.sig_object, embedded.signer_info
    if embedded.sig_object_type != "/Sig" or entries.get("/SubFilter") != SigSeedSubFilter.PADES.value:
        return None
    if (
        signer["signature_algorithm"].signature_algo != "rsassa_pkcs1v15"
        or signer["signature_algorithm"].hash_algo != "sha256"
        or embedded.external_md_algorithm != "sha256"
    ):
        return None
    whole, digest, value = embedded.pkcs7_content, embedded.compute_digest(), signer["signature"].native
    if whole.count(digest) != 1 or not value or not whole.endswith(value):
        return None
    at = whole.index(digest)
    if at + _DIGEST_SIZE > len(whole) - len(value):
        return None
    filled = whole[:at] + bytes(_DIGEST_SIZE) + whole[at + _DIGEST_SIZE : -len(value)] + bytes(len(value))
    return Frame(encoded=filled, digest_at=at, value_size=len(value))


def _verifies(embedded: EmbeddedPdfSignature, certificate: bytes) -> bool:
    """Say whether the value of a signature is the certificate's key over its signed attributes (RFC 5652 §5.4)."""
    key = _key_of(certificate)
    attributes = embedded.signer_info["signed_attrs"].untag().dump()
    try:
        key.verify(embedded.signer_info["signature"].native, attributes, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=_REMEMBERED)
def _key_of(certificate: bytes) -> RSAPublicKey:
    """Return the key of a certificate whose signature was of RSA."""
    key = read_certificate(certificate).public_key()
    if not isinstance(key, RSAPublicKey):
        raise ValueError("a signature of RSA comes with a certificate for another kind of key")
    return key


def _remember(key: tuple[Frame, bytes], trusted: _Trusted) -> None:
    """Keep a good verdict, and let the oldest go when there are too many."""
    _trusted[key] = trusted
    while len(_trusted) > _REMEMBERED:
        _trusted.popitem(last=False)


def _digest(pieces: Sequence[bytes]) -> bytes:
    """Return one hash of several byte strings, each by its own."""
    return sha256(b"".join(sha256(piece).digest() for piece in pieces)).digest()
