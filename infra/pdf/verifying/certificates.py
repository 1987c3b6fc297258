"""
Certificates and what is known about their revocation: who is trusted, when, and by whose word.

pyHanko's path validation (RFC 5280) does the work; here its answers become findings. Nothing goes to
the network: whatever answer there is was embedded, or handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal

from asn1crypto import algos, crl, ocsp, x509  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import (
    DisallowedAlgorithmError,
    ExpiredError,
    InvalidCertificateError,
    NotYetValidError,
    PathBuildingError,
    PathValidationError,
    ValidationError,
)
from pyhanko_certvalidator.sig_validate import DefaultSignatureValidator

from infra.pdf.trust import finish
from infra.pdf.verifying.findings import Finding, found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What authorities said about revocation; each was signed by the authority that may say it."""

    crls: tuple[crl.CertificateList, ...] = ()
    ocsps: tuple[ocsp.OCSPResponse, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known beside the signature itself: anchors, other certificates, answers about revocation."""

    anchors: tuple[x509.Certificate, ...]
    certificates: tuple[x509.Certificate, ...] = ()
    #: By where they come from: `embedded` in the file, in the `folder` of anchors, `online`.
    answers: Mapping[str, Answers] = field(default_factory=dict)

    def given(self, *sources: str) -> Answers:
        """Return the answers of some sources together; without names, all of them."""
        chosen = [one for name, one in self.answers.items() if not sources or name in sources]
        return Answers(
            crls=tuple(item for one in chosen for item in one.crls),
            ocsps=tuple(item for one in chosen for item in one.ocsps),
        )


@dataclass(slots=True, kw_only=True)
class Trust:
    """What is known of one certificate at one moment."""

    anchor: str | None = None
    #: No path leads from it to an anchor.
    is_strange: bool = False
    path: tuple[x509.Certificate, ...] = ()
    revocation: Literal["good", "revoked", "unknown", "not asked"] = "not asked"
    revocation_from: str | None = None
    findings: list[Finding] = field(default_factory=list)
    findings_noted: list[Finding] = field(default_factory=list)


def judge(
    certificate: x509.Certificate,
    others: Sequence[x509.Certificate],
    evidence: Evidence,
    *,
    at: datetime,
    claimed: datetime | None,
    proven: bool,
    for_timestamps: bool,
) -> Trust:
    """
    Return what may be said of a certificate at the moment `at`.

    `proven` tells that the signature provably existed at that moment; otherwise the moment is now, and
    `claimed` is what the signature says of itself.
    """
    who = subject_of(certificate)
    trust = Trust()
    _check_purpose(trust, certificate, for_timestamps=for_timestamps)
    known = (*others, *evidence.certificates)
    path = _path(trust, certificate, known, evidence, at=at, claimed=claimed, proven=proven, who=who)
    if path is None:
        return trust
    trust.path = path
    trust.anchor = subject_of(path[0])
    _ask_revocation(trust, certificate, known, evidence, at=at, claimed=claimed, proven=proven, who=who)
    return trust


def _check_purpose(trust: Trust, certificate: x509.Certificate, *, for_timestamps: bool) -> None:
    """See that a certificate was issued for what was done with it."""
    who = subject_of(certificate)
    extended = certificate.extended_key_usage_value
    purposes = set(extended.native) if extended is not None else set()
    if for_timestamps:
        if purposes != {"time_stamping"}:
            trust.findings.append(found("wrong-usage", who=who))
        return
    usage = certificate.key_usage_value
    signs = usage is not None and bool({"non_repudiation", "digital_signature"} & usage.native)
    if not signs or certificate.ca or purposes == {"time_stamping"} or "ocsp_signing" in purposes:
        trust.findings.append(found("wrong-usage", who=who))


def _path(
    trust: Trust,
    certificate: x509.Certificate,
    known: Sequence[x509.Certificate],
    evidence: Evidence,
    *,
    at: datetime,
    claimed: datetime | None,
    proven: bool,
    who: str,
) -> tuple[x509.Certificate, ...] | None:
    """Return the certificates from an anchor down to this one, or say why there is no such path."""
    try:
        return _validated(certificate, known, evidence, at=at, answers=None)
    except PathBuildingError:
        alone = certificate.self_issued or certificate.self_signed == "yes"
        trust.findings.append(
            found("self-signed" if alone else "no-anchor", who=who, issuer=issuer_of(certificate))
        )
        trust.is_strange = True
    except (ExpiredError, NotYetValidError) as error:
        trust.findings.append(_outside(certificate, error, claimed=claimed, proven=proven, who=who))
    except InvalidCertificateError:
        trust.findings.append(found("wrong-usage", who=who))
    except DisallowedAlgorithmError:
        trust.findings.append(found("weak", what=certificate.hash_algo.upper()))
    except (PathValidationError, ValidationError, InvalidSignature) as error:
        trust.findings.append(found("path", who=who, why=type(error).__name__))
    return None


def _outside(
    certificate: x509.Certificate, error: Any, *, claimed: datetime | None, proven: bool, who: str
) -> Finding:
    """Say what it means that a certificate was not in force at the moment that counts."""
    if isinstance(error, NotYetValidError):
        return found("not-yet-valid", who=who, day=_day(error.valid_from))
    in_force = claimed is None or certificate.not_valid_before <= claimed <= certificate.not_valid_after
    if proven or not in_force:
        return found("expired-when-signed", who=who, day=_day(error.expired_dt))
    return found("expired-since", who=who, day=_day(error.expired_dt))


def _ask_revocation(
    trust: Trust,
    certificate: x509.Certificate,
    known: Sequence[x509.Certificate],
    evidence: Evidence,
    *,
    at: datetime,
    claimed: datetime | None,
    proven: bool,
    who: str,
) -> None:
    """Ask the answers at hand whether anything on the path was revoked before the moment that counts."""
    for one, day in _revoked(trust.path, evidence.given()):
        if day > at:
            trust.findings_noted.append(found("revoked-later", who=subject_of(one), day=_day(day)))
            continue
        trust.revocation = "revoked"
        before = not proven and claimed is not None and claimed < day
        code = "revoked-since" if before else "revoked"
        trust.findings.append(found(code, who=subject_of(one), day=_day(day)))
    if trust.revocation == "revoked":
        return
    trust.revocation = "unknown"
    sources = [("embedded",), *((name,) for name in evidence.answers if name != "embedded"), ()]
    for chosen in sources:
        answers = evidence.given(*chosen)
        if not (answers.crls or answers.ocsps) and len(trust.path) > 1:
            continue  # Nobody says anything of any of them.
        try:
            _validated(certificate, known, evidence, at=at, answers=answers)
        except (PathBuildingError, ValidationError, InvalidSignature, ValueError):
            continue
        trust.revocation = "good"
        trust.revocation_from = "+".join(chosen or evidence.answers)
        return
    trust.findings.append(found("revocation-unknown", who=who))


def _revoked(
    path: Sequence[x509.Certificate], answers: Answers
) -> Iterator[tuple[x509.Certificate, datetime]]:
    """Yield the certificates below an anchor that some answer calls revoked, and since when."""
    for issuer, one in pairwise(path):
        days = [*_revoked_in_lists(one, issuer, answers.crls), *_revoked_in_ocsp(one, issuer, answers.ocsps)]
        if days:
            yield one, min(days)


def _revoked_in_lists(
    one: x509.Certificate, issuer: x509.Certificate, crls: Iterable[crl.CertificateList]
) -> Iterator[datetime]:
    """Yield the days on which lists of the issuer say that a certificate was revoked."""
    for each in crls:
        entries = each["tbs_cert_list"]["revoked_certificates"]
        if each.issuer.dump() != issuer.subject.dump() or not entries.native:
            continue
        for entry in entries:
            if entry["user_certificate"].native == one.serial_number:
                yield entry["revocation_date"].native


def _revoked_in_ocsp(
    one: x509.Certificate, issuer: x509.Certificate, ocsps: Iterable[ocsp.OCSPResponse]
) -> Iterator[datetime]:
    """Yield the days on which OCSP answers say that a certificate was revoked."""
    for each in ocsps:
        for response in each.basic_ocsp_response["tbs_response_data"]["responses"]:
            about = response["cert_id"]
            name = getattr(issuer.subject, about["hash_algorithm"]["algorithm"].native, None)
            same = (
                about["serial_number"].native == one.serial_number
                and name == about["issuer_name_hash"].native
            )
            if same and response["cert_status"].name == "revoked":
                yield response["cert_status"].chosen["revocation_time"].native


def _validated(
    certificate: x509.Certificate,
    known: Sequence[x509.Certificate],
    evidence: Evidence,
    *,
    at: datetime,
    answers: Answers | None,
) -> tuple[x509.Certificate, ...]:
    """Return the path that RFC 5280 finds, asking about revocation if there are answers; raises what pyHanko does."""
    context = ValidationContext(
        trust_roots=list(evidence.anchors),
        other_certs=list(known),
        moment=at,
        allow_fetching=False,
        crls=list(answers.crls) if answers else [],
        ocsps=list(answers.ocsps) if answers else [],
        revocation_mode="require" if answers is not None else "soft-fail",
        # What was asked after a signature was made speaks of the time before, too.
        retroactive_revinfo=True,
        time_tolerance=timedelta(0),
    )
    validator = CertificateValidator(certificate, validation_context=context)
    path = finish(validator.async_validate_path())
    return tuple(path.iter_certs(include_root=True))


def stray_certificates(
    travelling: Iterable[x509.Certificate], known: Sequence[x509.Certificate]
) -> list[Finding]:
    """Return what speaks against certificates that travel along: each must be genuine by one that is known."""
    findings: list[Finding] = []
    for one in travelling:
        issuers = [issuer for issuer in known if issuer.subject.dump() == one.issuer.dump()]
        if not issuers:
            findings.append(found("stray-certificate", who=subject_of(one)))
        elif not any(is_signed_by(one, issuer) for issuer in issuers):
            findings.append(found("forged-certificate", who=subject_of(one)))
    return findings


def is_signed_by(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Say whether a certificate was signed with the key of another."""
    return verifies(
        one["signature_value"].native, one["tbs_certificate"].dump(), issuer, one["signature_algorithm"]
    )


def verifies(
    value: bytes, content: bytes, signer: x509.Certificate, algorithm: algos.SignedDigestAlgorithm
) -> bool:
    """Say whether a signature over some bytes was made with the key of a certificate."""
    try:
        DefaultSignatureValidator().validate_signature(value, content, signer.public_key, algorithm)
    except (InvalidSignature, ValueError, TypeError, NotImplementedError, AssertionError):
        # pyHanko asserts that the key is of the kind that the algorithm names.
        return False
    return True


def subject_of(certificate: x509.Certificate) -> str:
    """Return a certificate's subject as people write it, `CN=…, O=…, C=VN`."""
    return _written(certificate.subject)


def issuer_of(certificate: x509.Certificate) -> str:
    """Return the name of who issued a certificate, written like a subject."""
    return _written(certificate.issuer)


_SHORT = {
    "common_name": "CN", "organization_name": "O", "organizational_unit_name": "OU", "country_name": "C",
    "locality_name": "L", "state_or_province_name": "ST", "title": "T", "serial_number": "serialNumber",
}  # fmt: skip


def _written(name: x509.Name) -> str:
    """Return a distinguished name, the most particular part first."""
    parts = [(one["type"].native, one["value"].native) for relative in name.chosen for one in relative]
    return ", ".join(f"{_SHORT.get(kind, kind)}={value}" for kind, value in reversed(parts))


def _day(moment: datetime) -> str:
    """Return a day as a report writes it."""
    return moment.strftime("%d/%m/%Y")
