"""
Verification of signed PDFs for anybody: no login, no database, no network unless it is asked for.

`verify` has the file examined in a child process with limits; what comes back are plain values
(`findings`), whose sentences are in `words`. Nothing is taken for granted: what is not known is said to be
missing, and a file is valid only when nothing is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from infra.errors import Broken
from infra.pdf.confined import Cost, TooCostly, asking
from infra.pdf.verifying.findings import Finding, Report, found, report_from
from infra.pdf.verifying.folder import Folder

_CHILD = "infra.pdf.verifying.child"
_COST = Cost(memory_bytes=2_000_000_000, cpu_seconds=30, wall_seconds=90, output_bytes=20_000_000)
#: Larger files are not opened at all.
LARGEST = 300_000_000  # bytes
#: A report longer than this is no report.
_LONGEST = 10_000_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Answers about revocation that somebody fetched (DER)."""

    crls: Sequence[bytes] = ()
    ocsps: Sequence[bytes] = ()


def verify(
    name: str,
    pdf: bytes,
    *,
    trusted: Folder,
    at: datetime,
    online: Asked | None = None,
    cost: Cost = _COST,
) -> Report:
    """
    Return what may be said of a file as of the moment `at` (aware).

    Hostile, damaged and unsigned files have a report like any other. Raises `Unavailable` when no process can
    be started, `Broken` when it fails for a reason that is not the file's. Pure: the same gives the same.
    """
    if len(pdf) > LARGEST:
        return _unread(name, pdf)
    sources = {"folder": (trusted.crls, trusted.ocsps)}
    if online is not None:
        sources["online"] = (tuple(online.crls), tuple(online.ocsps))
    header = {
        "file": {"name": name, "bytes": len(pdf)},
        "anchors": [len(one) for one in trusted.anchors],
        "answers": {
            source: {"crls": [len(one) for one in crls], "ocsps": [len(one) for one in ocsps]}
            for source, (crls, ocsps) in sources.items()
        },
        "at": at.isoformat(),
    }
    contents = [pdf, *trusted.anchors]
    for crls, ocsps in sources.values():
        contents += [*crls, *ocsps]
    try:
        with asking(_CHILD, header, contents, cost=cost) as answer:
            return _read(name, pdf, answer)
    except TooCostly:
        return _unread(name, pdf)


def _read(name: str, pdf: bytes, answer: IO[bytes]) -> Report:
    """Turn the child's answer into a report; the child is not trusted to be sane."""
    try:
        data: Mapping[str, object] = json.loads(answer.readline(_LONGEST))
        if "too-much" in data:
            return _unread(name, pdf)
        report = report_from(data)
        if report.sha256 != hashlib.sha256(pdf).hexdigest():
            raise ValueError("a report on another file")
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("The examination of a file gave an answer that makes no sense") from error
    return report


def unopened(name: str, why: str) -> Report:
    """Return the report on a file that could not even be opened."""
    return _nothing(name, b"", found("not-a-file", why=why))


def _unread(name: str, pdf: bytes) -> Report:
    """Return the report on a file that cannot be read with what a document may cost."""
    return _nothing(name, pdf, found("too-much"))


def _nothing(name: str, pdf: bytes, finding: Finding) -> Report:
    """Return a report that holds one finding."""
    return Report(
        name=name,
        sha256=hashlib.sha256(pdf).hexdigest(),
        size=len(pdf),
        title=None,
        pages=None,
        signatures=(),
        revisions=(),
        findings=(finding,),
    )
