"""What a certificate and its key must be, and what its dates allow: values in, a refusal or nothing out."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from infra.clock import HANOI
from infra.errors import Forbidden
from infra.token import KeyDescription
from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.policy import CertificatePolicy, KeyPolicy
from tasks.certificates.reading import CertificateFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose certificate it is to be: a person of an office, or (no staff code) the agency itself."""

    office: str
    staff: str
    name: str
    unit: str
    identity: str = ""

    @property
    def spoken(self) -> str:
        """How messages name the holder."""
        return f"{self.staff} of {self.office}" if self.staff else f"the agency of {self.office}"


def check_subject(facts: CertificateFacts, holder: Holder, policy: CertificatePolicy) -> None:
    """Refuse a certificate whose subject is somebody else, or says nothing of whom it is (CER-10)."""
    rules = policy.subject
    if not holder.staff:
        _must_name(facts, rules.agency.name, holder.unit, "the agency")
        return
    _must_name(facts, rules.person.name, holder.name, "the person")
    if rules.person.unit_needed:
        _must_name(facts, rules.person.unit, holder.unit, "the agency")
    said = [v for name in rules.person.identity for v in facts.subject.get(name, ()) if _digits(v)]
    if said and holder.identity and _digits(holder.identity) not in {_digits(v) for v in said}:
        raise Forbidden(
            f"the certificate states another identity number than that of {holder.spoken}.",
            rule="CER-10",
            way_out="Give the certificate of this person, or correct the person's data first.",
        )


def _must_name(facts: CertificateFacts, attributes: Sequence[str], expected: str, what: str) -> None:
    """Refuse a subject none of whose attributes has the expected words."""
    said = [value for name in attributes for value in facts.subject.get(name, ())]
    if same_words(expected, *said):
        return
    named = " / ".join(said) or "nobody"
    raise Forbidden(
        f"the certificate names {named} as {what}, not {expected}.",
        rule="CER-10",
        way_out="Give the certificate of this holder; a name or agency that changed needs a new one (CER-07).",
    )


def same_words(expected: str, *said: str) -> bool:
    """
    Whether one of the texts has the same words, whatever its case, blanks and Unicode form.

    >>> same_words("Ủy ban nhân dân xã Bình Liêu", "ỦY BAN NHÂN DÂN  XÃ BÌNH LIÊU")
    True
    >>> same_words("Vi Văn Lâm", "Vi Văn Lam")
    False
    """
    return _words(expected) in {_words(one) for one in said}


def _words(text: str) -> str:
    """Return a text in the form in which names are compared."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _digits(text: str) -> str:
    """Return the digits of `CCCD:022000000001` and the like."""
    return "".join(c for c in text if c.isdecimal())


def check_use(facts: CertificateFacts, policy: CertificatePolicy) -> None:
    """Refuse a certificate that is not for signatures, or whose key or hash is too weak (PKI-05, PKI-07)."""
    if facts.is_authority or facts.usages & {"key_cert_sign", "crl_sign"}:
        raise _unfit("the certificate is one of an authority, not of a signer.", "PKI-05")
    if "content_commitment" not in facts.usages:
        stated = ", ".join(sorted(u.replace("_", " ") for u in facts.usages)) or "nothing"
        raise _unfit(
            f"the certificate is for {stated}, not for signatures that bind (non-repudiation).", "PKI-05"
        )
    if facts.purposes is not None and not facts.purposes & policy.purposes:
        raise _unfit(
            f"the certificate's purposes ({', '.join(sorted(facts.purposes))}) do not include signing documents.",
            "PKI-05",
        )
    if facts.rsa_bits is None or facts.rsa_bits < policy.rsa_bits:
        size = f"RSA with {facts.rsa_bits} bits" if facts.rsa_bits else "not RSA"
        raise _unfit(f"the key is {size}; RSA with {policy.rsa_bits} bits or more is needed.", "PKI-07")
    if facts.hash_name not in policy.hashes:
        raise _unfit(f"the certificate is signed over {facts.hash_name or 'an unknown hash'}.", "PKI-07")


def _unfit(message: str, rule: str) -> Forbidden:
    """Refuse a certificate of the wrong kind."""
    return Forbidden(message, rule=rule, way_out="Ask the provider for a certificate to sign documents with.")


def check_validity(
    facts: CertificateFacts, policy: CertificatePolicy, at: datetime, *, renewed: bool
) -> None:
    """
    Refuse a certificate that is not valid now, ends too soon, or is valid for longer than the law allows.

    New ones are valid for at most five years, renewed ones for three (CER-05); two days are let pass for
    time zones and leap days.
    """
    if not facts.not_before <= at < facts.not_after:
        raise Forbidden(
            f"the certificate is valid from {_day(facts.not_before)} to {_day(facts.not_after)}, not now.",
            rule="PKI-05",
            way_out="Give one that is valid now.",
        )
    left = facts.not_after - at
    if left < timedelta(days=policy.days_left_at_registration):
        raise Forbidden(
            f"the certificate ends on {_day(facts.not_after)}, in {left.days} days.",
            rule="PKI-05",
            way_out=f"Ask for a new one: {policy.days_left_at_registration} days at least must be left.",
        )
    years = policy.renewed_years if renewed else policy.new_years
    if facts.not_after - facts.not_before > timedelta(days=365.25 * years + 2):
        kind = "renewed" if renewed else "new"
        raise Forbidden(
            f"the certificate is valid for {facts.years:.1f} years; a {kind} one may be for {years}.",
            rule="CER-05",
            way_out="Ask the provider for one within the limit.",
        )


#: What a key must say of itself: attribute, the value it must have, and what is wrong otherwise.
_DEMANDS = (
    ("private", True, "is not private: it can be used without a PIN (CKA_PRIVATE)"),
    ("sensitive", True, "can be read from the token (CKA_SENSITIVE)"),
    ("extractable", False, "can be taken off the token (CKA_EXTRACTABLE)"),
    ("sign", True, "may not sign (CKA_SIGN)"),
)
#: The same, where a key that was made elsewhere cannot but fail.
_ORIGIN = (
    ("local", True, "was not made on the token (CKA_LOCAL)"),
    ("always_sensitive", True, "could once be read (CKA_ALWAYS_SENSITIVE)"),
    ("never_extractable", True, "could once be taken off the token (CKA_NEVER_EXTRACTABLE)"),
)


def check_key(key: KeyDescription, policy: KeyPolicy) -> None:
    """
    Refuse a key that somebody else could have: readable, extractable, or brought from elsewhere (SIG-13).

    A key that was imported is accepted where the policy names the decision. What the token does not say
    counts as wrong.
    """
    for name, wanted, wrong in _DEMANDS:
        if getattr(key, name) is not wanted:
            raise _weak(wrong)
    if not policy.imported_keys_decision:
        for name, wanted, wrong in _ORIGIN:
            if getattr(key, name) is not wanted:
                raise _weak(wrong)
    if policy.sign_only and key.other_uses:
        raise _weak(f"may do more than sign: {', '.join(key.other_uses)}")


def _weak(wrong: str) -> Forbidden:
    """Refuse a key."""
    return Forbidden(
        f"the key {wrong}.",
        rule="SIG-13",
        way_out="Let a new key be made on the token, and a certificate be issued for it; a provider that imports"
        " keys is accepted by a decision only (imported_keys_decision in the policy).",
    )


def was_imported(key: KeyDescription) -> bool:
    """Whether a key's origin is accepted by decision only."""
    return any(getattr(key, name) is not wanted for name, wanted, _ in _ORIGIN)


def may_renew(not_after: datetime, renewals: int, at: datetime, policy: CertificatePolicy) -> None:
    """
    Refuse a renewal that comes too late, or a second one (CER-06).

    With exactly `renewal_days_left` days left it may still be asked for.
    """
    if renewals >= policy.renewals:
        raise Forbidden(
            f"the certificate was renewed {renewals} times; the law allows {policy.renewals}.",
            rule="CER-06",
            way_out="Ask for a new certificate with “hoso certificate request” once this one has ended, or change it.",
        )
    if not_after - at < timedelta(days=policy.renewal_days_left):
        raise Forbidden(
            f"the certificate ends on {_day(not_after)}; a renewal is asked for with {policy.renewal_days_left}"
            " days left at least.",
            rule="CER-06",
            way_out="Ask for a new certificate with “hoso certificate request”.",
        )


def warning_due(not_after: datetime, warned: int | None, at: datetime, days: Collection[int]) -> int | None:
    """
    Return the warning that is due now, as its number of days, or `None` (CER-09).

    >>> from datetime import UTC
    >>> end = datetime(2026, 12, 31, tzinfo=UTC)
    >>> warning_due(end, None, datetime(2026, 11, 20, tzinfo=UTC), [90, 60, 30])
    60
    >>> warning_due(end, 60, datetime(2026, 11, 20, tzinfo=UTC), [90, 60, 30])
    """
    reached = [step for step in days if not_after - at <= timedelta(days=step)]
    if not reached or not_after <= at:
        return None
    step = min(reached)
    return step if warned is None or step < warned else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a certificate stands, as far as its right to sign depends on it."""

    state: CertificateState
    not_before: datetime | None
    not_after: datetime | None
    ended_at: datetime | None
    revoked_at: datetime | None


#: Why a certificate in a state does not sign, and the rule; states that are not here may.
_SILENT = {
    CertificateState.REQUESTED: ("is not issued yet", "CER-15"),
    CertificateState.REJECTED: ("was never issued", "CER-15"),
    CertificateState.ISSUED: ("is issued, but its device was not handed over yet", "CER-15"),
    CertificateState.HANDED_OVER: ("is handed over, but not active yet", "CER-15"),
    CertificateState.SUSPENDED: ("is suspended", "CER-15"),
    CertificateState.EXPIRED: ("has expired", "PKI-05"),
    CertificateState.REVOKED: ("was revoked", "CER-08"),
}


def must_sign(stand: Stand, at: datetime, whose: str) -> None:
    """Refuse a certificate that is not active at a moment, with the reason (CER-08, CER-15, PKI-05)."""
    why, rule = _silence(stand, at)
    if why:
        raise Forbidden(
            f"the certificate of {whose} {why}.",
            rule=rule,
            way_out="“hoso certificate list” says where it stands; sign with one that is active.",
        )


def _silence(stand: Stand, at: datetime) -> tuple[str, str]:
    """Return why a certificate does not sign at a moment, and the rule; nothing if it does."""
    if stand.state in _SILENT:
        why, rule = _SILENT[stand.state]
        when = f" as of {_moment(stand.revoked_at)}" if stand.revoked_at else ""
        return why + when, rule
    if stand.not_before is not None and at < stand.not_before:
        return f"is not valid before {_moment(stand.not_before)}", "PKI-05"
    if stand.not_after is not None and at >= stand.not_after:
        return f"expired on {_moment(stand.not_after)}", "PKI-05"
    if stand.ended_at is not None and at >= stand.ended_at:
        if stand.state == CertificateState.ACTIVE:
            return f"signs no more since {_moment(stand.ended_at)}", "AUTH-06"
        return f"was {stand.state}; a newer one has taken over on {_moment(stand.ended_at)}", "CER-06"
    return "", ""


def _day(moment: datetime) -> str:
    """Return a day as it is written in Việt Nam."""
    return moment.astimezone(HANOI).strftime("%d/%m/%Y")


def _moment(moment: datetime) -> str:
    """Return a moment as it is written in Việt Nam."""
    return moment.astimezone(HANOI).strftime("%d/%m/%Y %H:%M:%S")
