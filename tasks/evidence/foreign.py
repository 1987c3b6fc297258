"""
What a signed file from somewhere else is worth, its signers' issuers asked (PKI-03, PKI-05, EXC-06).

The file is looked at twice where neither it nor what issuers said a moment ago proves that its signers' certificates
were good: the first look tells which of them lead to an anchor, and only those are asked about, at hosts that the
settings allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

from infra.errors import Forbidden
from infra.pdf.foreign import Answered, Examined, Wanted, examine
from infra.revocation import RevocationAnswer
from infra.services import services


def judge(content: bytes | Path, wanted: Wanted | None) -> tuple[Examined, list[str]]:
    """
    Return what may be said of a signed file, and why its signers cannot be asked about, if so, in sentences.

    `wanted` is the field that is to be added to it, if any. Raises `NoRevocationAnswer` when nobody says whether a
    signer's certificate is revoked, and `Unavailable` when no process can be started to read the file in.
    """
    parts = services()
    at = parts.clock.now()
    look = partial(
        examine, content, anchors=parts.foreign_anchors, chain=parts.foreign_chain, wanted=wanted, at=at
    )
    # Whoever sends one file sends more: with what issuers said a moment ago one look is mostly enough.
    examined = look(answered=_answered(parts.revocation.kept(at)))
    if not examined.wants_answers or not examined.chains:
        return examined, []
    try:
        return look(answered=_ask_issuers(examined, at)), []
    except Forbidden as error:
        return examined, [str(error)]


def _ask_issuers(examined: Examined, at: datetime) -> Answered:
    """Return what the issuers of everybody on the way to an anchor say; see `Revocation.ask` for the errors."""
    parts = services()
    pairs = {pair for chain in examined.chains for pair in pairwise(chain)}
    answers = [parts.revocation.ask(one, issuer=issuer, at=at) for issuer, one in sorted(pairs)]
    may_pass = parts.settings.revocation_policy == "hard-fail" and None in answers
    return _answered([one for one in answers if one is not None], unasked_may_pass=may_pass)


def _answered(answers: Sequence[RevocationAnswer], *, unasked_may_pass: bool = False) -> Answered:
    """Return answers as the reader of files takes them."""
    return Answered(
        ocsps=[one.proof for one in answers if one.kind == "ocsp"],
        crls=[one.proof for one in answers if one.kind == "crl"],
        unasked_may_pass=unasked_may_pass,
    )
