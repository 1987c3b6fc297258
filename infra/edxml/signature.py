"""
The signature of a package: XMLDSig with RSA and SHA-256 over the envelope and every attachment (EDX-11).

The signature stands in the header. It covers the envelope (exclusive canonicalisation, the signature itself left
out) and each attachment by `cid:`, over its decoded bytes, so that a large one is hashed while it is read and
never canonicalised. What is made here is checked by `signxml`, which knows nothing of how it was made.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidInput, SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from infra.edxml.faults import Faulty, mismatch, missing
from infra.edxml.values import NS

DS = "http://www.w3.org/2000/09/xmldsig#"
_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED = f"{DS}enveloped-signature"
_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
#: Where in a package a fault of the signature is.
PATH = "edXMLHeader.Signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a package's signature proves: by whose certificate, over which envelope and attachments."""

    certificate: bytes  # DER
    #: The envelope as it was signed; nothing outside of it is believed.
    envelope: etree._Element
    covered: frozenset[str]  # content ids of the attachments
    #: It rests on SHA-1 somewhere.
    weak: bool


def sign_envelope(
    envelope: etree._Element,
    attachments: Mapping[str, str],
    *,
    certificate: bytes,
    sign: Callable[[bytes], bytes],
) -> None:
    """
    Add a signature to an envelope's header.

    `attachments` are the SHA-256 (hex) by content id. `sign` returns the RSA PKCS#1 v1.5 signature over the
    SHA-256 of what it is given, as a token does; it is called once.
    """
    header = envelope.find(f"{{{NS}}}edXMLHeader")
    assert header is not None
    signature = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS})
    info = _add(signature, "SignedInfo")
    _add(info, "CanonicalizationMethod").set("Algorithm", _C14N)
    _add(info, "SignatureMethod").set("Algorithm", _RSA_SHA256)
    own = _reference(info, f"#{envelope.get('Id')}", hashlib.sha256(_canonical(envelope)).digest())
    transforms = etree.Element(f"{{{DS}}}Transforms")
    for algorithm in (_ENVELOPED, _C14N):
        _add(transforms, "Transform").set("Algorithm", algorithm)
    own.insert(0, transforms)
    for content_id, sha256 in attachments.items():
        _reference(info, f"cid:{content_id}", bytes.fromhex(sha256))
    _add(signature, "SignatureValue").text = b64encode(sign(_canonical(info))).decode()
    data = _add(_add(signature, "KeyInfo"), "X509Data")
    _add(data, "X509Certificate").text = b64encode(certificate).decode()
    header.append(signature)


def _add(parent: etree._Element, name: str) -> etree._Element:
    """Return a new child of the signature's namespace."""
    return etree.SubElement(parent, f"{{{DS}}}{name}")


def _reference(info: etree._Element, uri: str, digest: bytes) -> etree._Element:
    """Add what is signed: where it is, and its digest."""
    reference = _add(info, "Reference")
    reference.set("URI", uri)
    _add(reference, "DigestMethod").set("Algorithm", _SHA256)
    _add(reference, "DigestValue").text = b64encode(digest).decode()
    return reference


def _canonical(element: etree._Element) -> bytes:
    """Return an element's exclusive canonical form."""
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_comments=False))


class _Known(bytes):
    """Stands for the bytes of an attachment, of which only the hashes are at hand."""

    sha1: bytes
    sha256: bytes


class _Verifier(XMLVerifier):
    """signxml's verifier, which takes the hash of an attachment that was computed while it was read."""

    def _get_digest(self, data: Any, algorithm: DigestAlgorithm) -> bytes:
        """Return the digest of what is in memory, or the one that is known."""
        if not isinstance(data, _Known):
            return bytes(super()._get_digest(data, algorithm))
        if algorithm is not DigestAlgorithm.SHA256:
            raise InvalidInput(f"the digest of an attachment is {algorithm.name}; only SHA-256 is taken")
        return data.sha256


#: What is looked at; SHA-1 is told apart, because agencies' older software still signs with it.
_METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA1,
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS = frozenset(
    {DigestAlgorithm.SHA1, DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512}
)


def check_signature(rest: etree._Element, attachments: Mapping[str, str]) -> Signed:
    """
    Return what the signature of a package proves; the certificate itself is the caller's to judge.

    `rest` is the package without its attachments' bytes, `attachments` their SHA-256 (hex) by content id. Raises
    `Faulty` when there is no signature, it does not hold, or it does not cover the envelope and every attachment.
    """
    place = rest.findall("./{*}edXMLEnvelope/{*}edXMLHeader/{*}Signature") + rest.findall(
        "./{*}edXMLEnvelope/{*}edXMLHeader/{*}DigitalSignature/{*}Signature"
    )
    found = rest.findall(f".//{{{DS}}}Signature")
    if not found:
        raise Faulty([missing(PATH, "the package is not signed")])
    if len(found) > 1 or place != found:
        raise Faulty([mismatch(PATH, "the package has more than one signature, or one in another place")])
    uris = _must_cover(rest, found[0], attachments)
    certificate = _certificate(found[0])

    def known(uri: str) -> _Known:
        one = _Known()
        one.sha256 = bytes.fromhex(attachments[uri.removeprefix("cid:")])
        return one

    try:
        results = _Verifier().verify(
            rest,
            x509_cert=certificate,
            uri_resolver=known,
            expect_config=SignatureConfiguration(
                expect_references=True,
                signature_methods=_METHODS,
                digest_algorithms=_DIGESTS,
                verification_time=certificate.not_valid_before_utc,  # its validity is judged elsewhere
            ),
        )
    except (SignXMLException, ValueError, KeyError, TypeError, etree.LxmlError) as error:
        raise Faulty([mismatch(PATH, f"the signature does not hold ({type(error).__name__})")]) from error
    assert isinstance(results, list)
    envelope = results[uris.index(next(uri for uri in uris if uri.startswith("#")))].signed_xml
    if envelope is None or etree.QName(envelope).localname != "edXMLEnvelope":
        raise Faulty([mismatch(PATH, "the signature does not cover the envelope")])
    algorithms = [str(one.get("Algorithm")) for one in found[0].iter() if one.get("Algorithm")]
    return Signed(
        certificate=certificate.public_bytes(Encoding.DER),
        envelope=envelope,
        covered=frozenset(uri.removeprefix("cid:") for uri in uris if uri.startswith("cid:")),
        weak=any(name.endswith("sha1") for name in algorithms),
    )


def _must_cover(rest: etree._Element, signature: etree._Element, attachments: Mapping[str, str]) -> list[str]:
    """Return what a signature names, or refuse one that names something else than envelope and attachments."""
    envelope = rest.find("./{*}edXMLEnvelope")
    assert envelope is not None
    own = [f"#{envelope.get(name)}" for name in ("Id", "ID", "id") if envelope.get(name)]
    references = signature.findall(f"./{{{DS}}}SignedInfo/{{{DS}}}Reference")
    uris = [str(one.get("URI")) for one in references]
    wanted = {f"cid:{content_id}" for content_id in attachments}
    named = [uri for uri in uris if uri in own]
    if len(named) != 1 or len(set(uris)) != len(uris) or set(uris) - set(named) != wanted:
        about = "the signature does not cover the envelope and every attachment, each once"
        raise Faulty([mismatch(PATH, about)])
    for one in references:
        transforms = [str(t.get("Algorithm")) for t in one.iter(f"{{{DS}}}Transform")]
        allowed = transforms[:1] == [_ENVELOPED] and all("c14n" in name for name in transforms[1:])
        if transforms if one.get("URI") in wanted else not allowed:
            raise Faulty(
                [mismatch(PATH, "the signature transforms what it covers in a way that is not taken")]
            )
    return uris


def _certificate(signature: etree._Element) -> x509.Certificate:
    """Return the certificate that a signature brings."""
    texts = [one.text or "" for one in signature.iter(f"{{{DS}}}X509Certificate")]
    if not texts:
        raise Faulty([missing(f"{PATH}.KeyInfo", "the signature brings no certificate")])
    try:
        pem = "-----BEGIN CERTIFICATE-----\n" + "".join(texts[0].split()) + "\n-----END CERTIFICATE-----\n"
        return x509.load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError as error:
        raise Faulty([mismatch(f"{PATH}.KeyInfo", "the certificate cannot be read")]) from error
