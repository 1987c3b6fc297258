"""
The evidence that a file carries for its signatures: its document security store (ISO 32000-2 §12.8.4.3).

Nobody signs a security store when it is written, so each certificate, list and answer in it must speak for
itself, by the signature of an authority that is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from asn1crypto import crl, ocsp, x509  # type: ignore[import-untyped]
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader

from infra.pdf.verifying.certificates import (
    Answers,
    is_signed_by,
    stray_certificates,
    subject_of,
    verifies,
)
from infra.pdf.verifying.findings import Finding, found

_KINDS = {"/Certs": x509.Certificate, "/CRLs": crl.CertificateList, "/OCSPs": ocsp.OCSPResponse}


@dataclass(slots=True, kw_only=True)
class Store:
    """What a document security store holds, and what is wrong with it."""

    certificates: list[x509.Certificate] = field(default_factory=list)
    crls: list[crl.CertificateList] = field(default_factory=list)
    ocsps: list[ocsp.OCSPResponse] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def read_store(document: PdfFileReader | HistoricalResolver, known: Sequence[x509.Certificate]) -> Store:
    """Return what a document's security store holds; `known` are certificates from elsewhere."""
    store = Store()
    if "/DSS" not in document.root:
        return store
    dss = document.root["/DSS"]
    if not isinstance(dss, generic.DictionaryObject):
        store.findings.append(found("evidence-forged", what="/DSS"))
        return store
    for key, place in (("/Certs", store.certificates), ("/CRLs", store.crls), ("/OCSPs", store.ocsps)):
        for content in _streams(store, dss, key):
            _take(store, key, place, content)
    everybody = [*known, *store.certificates]
    store.findings += [
        found("evidence-forged" if one.weight == "broken" else "evidence-unknown", what=one.values["who"])
        for one in stray_certificates(store.certificates, everybody)
    ]
    faults = [*(fault_of_list(one, everybody) for one in store.crls)]
    faults += [fault_of_answer(one, everybody) for one in store.ocsps]
    store.findings += [fault for fault in faults if fault is not None]
    kept = genuine(Answers(crls=tuple(store.crls), ocsps=tuple(store.ocsps)), everybody)
    store.crls, store.ocsps = list(kept.crls), list(kept.ocsps)
    return store


def _streams(store: Store, dss: generic.DictionaryObject, key: str) -> Iterator[bytes]:
    """Yield the contents of one of the store's lists."""
    if key not in dss:
        return
    listed = dss[key]
    if not isinstance(listed, generic.ArrayObject):
        store.findings.append(found("evidence-forged", what=key))
        return
    for item in listed:
        item = item.get_object()
        if isinstance(item, generic.StreamObject):
            yield item.data
        else:
            store.findings.append(found("evidence-forged", what=key))


def _take(store: Store, key: str, place: list[Any], content: bytes) -> None:
    """Parse one item of evidence."""
    try:
        item = _KINDS[key].load(content, strict=True)
        item.native  # noqa: B018  The library reads late; what is damaged shall be found here.
    except (ValueError, TypeError, KeyError, OverflowError):
        store.findings.append(found("evidence-forged", what=key))
        return
    place.append(item)


def genuine(answers: Answers, everybody: Sequence[x509.Certificate]) -> Answers:
    """Return those of some answers that a known authority signed."""
    return Answers(
        crls=tuple(one for one in answers.crls if fault_of_list(one, everybody) is None),
        ocsps=tuple(one for one in answers.ocsps if fault_of_answer(one, everybody) is None),
    )


def fault_of_list(one: crl.CertificateList, everybody: Sequence[x509.Certificate]) -> Finding | None:
    """Return what speaks against a revocation list, if anything does."""
    content, algorithm = one["tbs_cert_list"].dump(), one["signature_algorithm"]
    issuers = [c for c in everybody if c.subject.dump() == one.issuer.dump()]
    if any(verifies(one["signature"].native, content, issuer, algorithm) for issuer in issuers):
        return None
    code = "evidence-forged" if issuers else "evidence-unknown"
    return found(code, what=f"CRL {one.issuer.human_friendly}")


def fault_of_answer(one: ocsp.OCSPResponse, everybody: Sequence[x509.Certificate]) -> Finding | None:
    """Return what speaks against an OCSP answer: it must be signed, and its signer known (RFC 6960 §4.2.2.2)."""
    if one["response_status"].native != "successful":
        return found("evidence-forged", what="OCSP")
    basic = one.basic_ocsp_response
    own = list(basic["certs"]) if basic["certs"] else []
    content, algorithm = basic["tbs_response_data"].dump(), basic["signature_algorithm"]
    signers = [c for c in (*own, *everybody) if verifies(basic["signature"].native, content, c, algorithm)]
    if not signers:
        return found("evidence-forged", what="OCSP")
    known = {c.dump() for c in everybody}
    if any(c.dump() in known or any(is_signed_by(c, other) for other in everybody) for c in signers):
        return None
    return found("evidence-unknown", what=f"OCSP {subject_of(signers[0])}")
