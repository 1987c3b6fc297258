"""
Signatures that nobody vouches for whom the reader trusts: what may be said of them all the same.

A chain that ends at an unknown root proves nothing, neither for nor against (EN 319 102-1: INDETERMINATE,
NO_CERTIFICATE_CHAIN_FOUND). Two things can be known, though: that somebody on the way bears the name of
somebody who is trusted and is not that one; and that a stranger came after somebody who is trusted, who
has not seen what the stranger added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from asn1crypto import x509  # type: ignore[import-untyped]

from infra.pdf.verifying.certificates import is_signed_by, subject_of
from infra.pdf.verifying.findings import Finding, Signature, Verdict, found

#: Findings that say that no trusted root stands above a signature.
_NOBODY = frozenset({"no-anchor", "self-signed", "impostor"})
#: More certificates than this above one signer are no chain.
_LONGEST = 20


def impostor(
    certificate: x509.Certificate, known: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> Finding | None:
    """
    Return what speaks against a certificate that leads to no anchor, if a name on its way is a trusted one's.

    The holder, those above, and the issuer that the last of them names are compared with the anchors and with
    everybody in `known` for whom an anchor vouches. Bearing such a name with another key is a lie, unless that
    authority has a new key since: then whoever trusts it must learn of that from the authority itself.
    """
    trusted = _vouched(known, anchors)
    keys: dict[str, set[bytes]] = {}
    for one in trusted:
        keys.setdefault(_name(one.subject), set()).add(one.public_key.dump())
    way = _way(certificate, known)
    for one in way:
        theirs = keys.get(_name(one.subject))
        if theirs is not None and one.public_key.dump() not in theirs:
            return found("impostor", who=subject_of(certificate), name=subject_of(one))
    last = way[-1]
    if _name(last.issuer) in keys:
        # It says that it was issued by somebody who is trusted, and was not: else there would be a path.
        named = next(one for one in trusted if _name(one.subject) == _name(last.issuer))
        return found("impostor", who=subject_of(certificate), name=subject_of(named))
    return None


def _way(certificate: x509.Certificate, known: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Return a certificate and those above it, as far as they are there and really signed each other."""
    way = [certificate]
    while len(way) < _LONGEST and way[-1].self_issued is False:
        above = next(
            (one for one in known if one not in way and _issued(way[-1], one)),
            None,
        )
        if above is None:
            break
        way.append(above)
    return way


def _vouched(
    known: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return the anchors and everybody among `known` whose certificate leads to one of them."""
    trusted = list(anchors)
    waiting = [one for one in known if one not in trusted]
    while True:
        more = [one for one in waiting if any(above.ca and _issued(one, above) for above in trusted)]
        if not more:
            return trusted
        trusted += more
        waiting = [one for one in waiting if one not in more]


def _issued(one: x509.Certificate, above: x509.Certificate) -> bool:
    """Say whether a certificate names another as its issuer, and was signed by it."""
    return _name(one.issuer) == _name(above.subject) and is_signed_by(one, above)


def _name(name: x509.Name) -> str:
    """Return a distinguished name in the form in which two that are the same are equal (RFC 5280 §7.1)."""
    return str(name.hashable)


def weighed(signatures: Sequence[Signature]) -> list[Signature]:
    """Return the signatures of a file in their order, with what the strangers among them mean for those before."""
    made: list[Signature] = []
    for one in signatures:
        before = next((each for each in reversed(made) if _is_trusted(each)), None)
        if before is not None and one.kind != "time-stamp" and _is_strange(one.findings):
            after = found("stranger-after", who=one.subject, before=before.subject)
            one = replace(one, level="none", findings=(*one.findings, after))
        made.append(one)
    return made


def whole_file(signatures: Sequence[Signature]) -> tuple[Finding, ...]:
    """Return what it means for the file when nobody who signed it is vouched for."""
    signers = [one for one in signatures if one.kind != "time-stamp"]
    if signers and all("no-anchor" in {f.code for f in one.findings} for one in signers):
        return (found("nobody-trusted"),)
    return ()


def _is_trusted(one: Signature) -> bool:
    """Say whether a signature holds and leads to an anchor."""
    return one.kind != "time-stamp" and one.anchor is not None and one.verdict is not Verdict.NOT_VALID


def _is_strange(findings: Iterable[Finding]) -> bool:
    """Say whether nobody who is trusted stands above a signature."""
    return any(one.code in _NOBODY for one in findings)
