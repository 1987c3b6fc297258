"""
One CMS signature (RFC 5652), read as strictly as PAdES writes it (ETSI EN 319 142-1 §5, §6.3).

Everything that a signature's own value does not protect is compared with what it must be: the version
numbers, the list of digest algorithms, the certificates that travel with it, the attributes that nobody
signed. So a byte that was changed there is noticed too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from asn1crypto import cms, tsp, x509  # type: ignore[import-untyped]
from pyhanko.sign.general import SignedDataCerts
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation, validate_sig_integrity

from infra.pdf.verifying.certificates import stray_certificates
from infra.pdf.verifying.decoding import read_whole
from infra.pdf.verifying.findings import Finding, found

_WEAK = frozenset({"md2", "md5", "sha1"})
_DIGESTS = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", *_WEAK})
#: Attributes that nobody signed, and that may be there: a time-stamp over the signature's value.
_UNSIGNED = frozenset({"signature_time_stamp_token"})
_SHORTEST_RSA_KEY = 2048  # bits


@dataclass(slots=True, kw_only=True)
class Cms:
    """What one CMS object says, and what is wrong with it."""

    certificate: x509.Certificate | None = None
    others: tuple[x509.Certificate, ...] = ()
    algorithm: str = ""
    #: The value that a time-stamp over this signature must name.
    value: bytes = b""
    #: The time-stamp token among its attributes (DER).
    token: bytes | None = None
    signing_time: Any = None
    tst: tsp.TSTInfo | None = None
    findings: list[Finding] = field(default_factory=list)


def read_cms(
    content: bytes,
    *,
    digest: Callable[[str], bytes],
    timestamp: bool,
    pades: bool,
    anchors: Sequence[x509.Certificate],
) -> Cms:
    """
    Return what a CMS object says; everything that is wrong with it is among its findings.

    `digest` gives the digest of what it must have signed, by the algorithm's name. `timestamp` tells that
    it must be an RFC 3161 token, `pades` that it must name its certificate among the signed attributes.
    """
    made = Cms()
    try:
        info = cms.ContentInfo.load(content, strict=True)
        if info["content_type"].native != "signed_data":
            raise ValueError("no signed data")
        signed = info["content"]
        read_whole(signed)  # The library reads late; what is damaged shall be found here.
        (signer,) = signed["signer_infos"]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        made.findings.append(found("cms-unreadable", why=type(error).__name__))
        return made
    try:
        _read_certificates(made, signed, anchors)
        _check_frame(made, signed, signer, timestamp=timestamp)
        if made.certificate is not None:
            _check_value(made, signed, signer, digest, timestamp=timestamp, pades=pades)
    except (
        SignatureValidationError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        NotImplementedError,
    ) as error:
        made.findings.append(found("cms-unreadable", why=type(error).__name__))
    return made


def _read_certificates(made: Cms, signed: Any, anchors: Sequence[x509.Certificate]) -> None:
    """Find the signer's certificate, and see that all others are genuine too."""
    chosen = [one.name for one in signed["certificates"]] if signed["certificates"] else []
    if set(chosen) - {"certificate"}:
        made.findings.append(found("cms-odd", what="certificates"))
    try:
        certs: SignedDataCerts = extract_certs_for_validation(signed)
    except (SignatureValidationError, ValueError) as error:
        made.findings.append(found("no-certificate", why=type(error).__name__))
        return
    made.certificate = certs.signer_cert
    made.others = tuple(certs.other_certs)
    if len({one.dump() for one in (made.certificate, *made.others)}) != len(chosen):
        made.findings.append(found("cms-odd", what="certificates"))
    made.findings += stray_certificates(made.others, [made.certificate, *made.others, *anchors])


def _check_frame(made: Cms, signed: Any, signer: Any, *, timestamp: bool) -> None:
    """Compare what nobody signed with what it must be."""
    algorithm = signer["digest_algorithm"]
    listed = list(signed["digest_algorithms"])
    if len(listed) != 1 or listed[0].native != algorithm.native:
        made.findings.append(found("cms-odd", what="digestAlgorithms"))
    content_type = signed["encap_content_info"]["content_type"].native
    if content_type != ("tst_info" if timestamp else "data"):
        made.findings.append(found("cms-odd", what="eContentType"))
    if not timestamp and signed["encap_content_info"]["content"].native is not None:
        made.findings.append(found("cms-odd", what="eContent"))
    by_number = signer["sid"].name == "issuer_and_serial_number"
    if signer["version"].native != ("v1" if by_number else "v3"):
        made.findings.append(found("cms-odd", what="SignerInfo.version"))
    plain = content_type == "data" and by_number
    if signed["version"].native not in ({"v1"} if plain else {"v3", "v4", "v5"}):
        made.findings.append(found("cms-odd", what="SignedData.version"))
    _check_unsigned(made, signer, timestamp=timestamp)


def _check_unsigned(made: Cms, signer: Any, *, timestamp: bool) -> None:
    """Take the time-stamp from among the attributes that nobody signed; there may be nothing else."""
    attributes = signer["unsigned_attrs"]
    names = [one["type"].native for one in attributes]
    strange = [name for name in names if name not in _UNSIGNED or timestamp]
    if strange or len(names) > 1:
        made.findings.append(found("unsigned-attribute", what=", ".join(map(str, strange or names))))
    for one in attributes if names and not strange else ():
        if len(one["values"]) != 1:
            made.findings.append(found("unsigned-attribute", what=str(one["type"].native)))
        else:
            made.token = one["values"][0].dump()


def _check_value(
    made: Cms,
    signed: Any,
    signer: Any,
    digest: Callable[[str], bytes],
    *,
    timestamp: bool,
    pades: bool,
) -> None:
    """Check the digest, the signature's value and the strength of both."""
    certificate = made.certificate
    assert certificate is not None
    name = signer["digest_algorithm"]["algorithm"].native
    key = certificate.public_key
    size = key.bit_size
    made.algorithm = f"{key.algorithm.upper()} {size}, {name.upper()}"
    made.value = signer["signature"].native
    if name not in _DIGESTS:
        made.findings.append(found("algorithm-unknown", what=name))
        return
    if name in _WEAK or (key.algorithm == "rsa" and size < _SHORTEST_RSA_KEY):
        made.findings.append(found("weak", what=made.algorithm))
    attributes = signer["signed_attrs"]
    names = [one["type"].native for one in attributes]
    if not names or len(set(names)) != len(names):
        made.findings.append(found("cms-odd", what="signedAttrs"))
        return
    if pades and not {"signing_certificate_v2", "signing_certificate"} & set(names):
        made.findings.append(found("cms-odd", what="signing-certificate"))
    times = [one["values"][0].native for one in attributes if one["type"].native == "signing_time"]
    made.signing_time = times[0] if times else None
    made_over = _digest_of_content(made, signed, name, digest, timestamp=timestamp)
    expected = "tst_info" if timestamp else "data"
    intact, valid = validate_sig_integrity(signer, certificate, expected, made_over)
    if not intact:
        made.findings.append(found("digest"))
    if not valid:
        made.findings.append(found("signature-value"))


def _digest_of_content(
    made: Cms, signed: Any, name: str, digest: Callable[[str], bytes], *, timestamp: bool
) -> bytes:
    """Return the digest that the signed attributes must name; a time-stamp's own content names the file's."""
    if not timestamp:
        return digest(name)
    content = signed["encap_content_info"]["content"]
    made.tst = content.parsed
    imprint = made.tst["message_imprint"]
    imprint_digest = imprint["hash_algorithm"]["algorithm"].native
    if imprint_digest not in _DIGESTS:
        made.findings.append(found("algorithm-unknown", what=imprint_digest))
    elif imprint["hashed_message"].native != digest(imprint_digest):
        made.findings.append(found("imprint"))
    elif imprint_digest in _WEAK:
        made.findings.append(found("weak", what=imprint_digest.upper()))
    return hashlib.new(name, bytes(content)).digest()
