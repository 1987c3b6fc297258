"""What an exchanged file is worth: the verdict on every signature in it, whoever sent it (EXC-02, EXC-06)."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.pdf.foreign import Examined
from infra.services import services
from tasks.certification.rules import result_faults
from tasks.evidence.foreign import judge as judge_signed

#: What the reader says of a PDF without any signature.
_UNSIGNED = "it is not signed"
_SIGNED = b"/ByteRange"
#: Bytes looked at in one go.
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One file: whether its signatures hold, since when, and what is wrong with them."""

    signed: bool
    signed_at: datetime | None
    #: It rests on SHA-1 somewhere: taken, and flagged.
    weak: bool
    faults: tuple[str, ...]
    signatures: tuple[dict[str, Any], ...] = ()

    def kept(self) -> dict[str, Any]:
        """Return the verdict as it is kept beside the file."""
        return {
            "signed": self.signed,
            "weak": self.weak,
            "faults": list(self.faults),
            "signatures": list(self.signatures),
        }


def judge(name: str, path: Path, digest: str) -> Judged:
    """
    Return the verdict on one file of this SHA-256; what is no PDF cannot be signed here and is neither good nor bad.

    The file is not held in memory. PDF files are opened in a process of their own, and their signers' issuers are
    asked. Raises `Unavailable` when no process can be started, `NoRevocationAnswer` when nobody answers.
    """
    if not _may_be_signed(path):
        return Judged(signed=False, signed_at=None, weak=False, faults=())
    return verdict(name, *_judged(path, digest))


def _may_be_signed(path: Path) -> bool:
    """Whether a file begins as a PDF and names a range of bytes somewhere, as every signature in one does."""
    with path.open("rb") as file:
        if file.read(5) != b"%PDF-":
            return False
        before = b""
        while piece := file.read(_PIECE):
            if _SIGNED in before + piece:
                return True
            before = piece[-len(_SIGNED) :]
    return False


#: The latest answers and when they were given, because one file is often sent to many: the same bytes and anchors
#: give the same answer, for as long as the issuers' answers are used again.
_KEPT: OrderedDict[tuple[object, ...], tuple[float, tuple[Examined, list[str]]]] = OrderedDict()
_MOST_KEPT = 200


def _judged(path: Path, digest: str) -> tuple[Examined, list[str]]:
    """Return what is said of a file and why its signers cannot be asked about, now or a moment ago."""
    parts = services()
    key = (digest, parts.foreign_anchors, parts.foreign_chain)
    kept = _KEPT.get(key)
    if kept is None or time.monotonic() - kept[0] > parts.settings.revocation_kept_seconds:
        kept = _KEPT[key] = (time.monotonic(), judge_signed(path, None))
        if len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return kept[1]


def verdict(name: str, found: Examined, unasked: Sequence[str] = ()) -> Judged:
    """Return what was found in a PDF as a verdict; `unasked` says why nobody could be asked about its signers."""
    if found.unreadable == _UNSIGNED:
        return Judged(signed=False, signed_at=None, weak=False, faults=())
    faults = [*result_faults(found, refuse_weak=False), *unasked]
    times = [one.at for one in found.signatures if one.at is not None]
    return Judged(
        signed=not faults,
        signed_at=max(times) if times else None,
        weak=any(one.weak for one in found.signatures),
        faults=tuple(f"{name}: {fault}" for fault in faults),
        signatures=tuple(asdict(one) for one in found.signatures),
    )
