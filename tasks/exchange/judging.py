"""What an exchanged file is worth: the verdict on every signature in it, whoever sent it (EXC-02, EXC-06)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from infra.pdf.foreign import Examined, examine
from infra.services import services
from tasks.certification.rules import result_faults

#: What the reader says of a PDF without any signature.
_UNSIGNED = "it is not signed"


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


def judge(name: str, content: bytes) -> Judged:
    """
    Return the verdict on one file; what is no PDF cannot be signed here and is neither good nor bad.

    PDF files are opened in a process of their own. Raises `Unavailable` when none can be started.
    """
    if not content.startswith(b"%PDF-"):
        return Judged(signed=False, signed_at=None, weak=False, faults=())
    if b"/ByteRange" not in content:
        return Judged(signed=False, signed_at=None, weak=False, faults=())
    parts = services()
    return verdict(name, _examined(content, parts.foreign_anchors, parts.foreign_chain))


#: The latest answers, because one file is often sent to many: the same bytes and anchors give the same answer.
_KEPT: OrderedDict[tuple[object, ...], Examined] = OrderedDict()
_MOST_KEPT = 200


def _examined(content: bytes, anchors: tuple[bytes, ...], chain: tuple[bytes, ...]) -> Examined:
    """Return what is said of a file, by a process of its own or by an earlier one."""
    key = (sha256(content).digest(), anchors, chain)
    if key not in _KEPT:
        _KEPT[key] = examine(content, anchors=anchors, chain=chain, wanted=None)
        if len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    return _KEPT[key]


def verdict(name: str, found: Examined) -> Judged:
    """Return what was found in a PDF as a verdict."""
    if found.unreadable == _UNSIGNED:
        return Judged(signed=False, signed_at=None, weak=False, faults=())
    faults = result_faults(found, refuse_weak=False)
    times = [one.at for one in found.signatures if one.at is not None]
    return Judged(
        signed=not faults,
        signed_at=max(times) if times else None,
        weak=any(one.weak for one in found.signatures),
        faults=tuple(f"{name}: {fault}" for fault in faults),
        signatures=tuple(asdict(one) for one in found.signatures),
    )
