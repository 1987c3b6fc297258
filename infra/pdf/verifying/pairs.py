"""Two files that belong together: a result, and the signed delivery note that names its hash (DOS-28)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from infra.pdf.verifying.findings import Finding, Report, Verdict, found


def belonging(reports: Sequence[Report]) -> list[Report]:
    """
    Return the reports, each with what another of them says of it.

    A document whose own signatures do not hold names nothing: anybody could have written it.
    """
    said: list[list[Finding]] = [[] for _ in reports]
    for place, note in enumerate(reports):
        if not note.signatures or note.verdict in (Verdict.NOT_VALID, Verdict.UNREADABLE):
            continue
        for other, result in enumerate(reports):
            if other != place and result.sha256 in note.names_hashes:
                said[place].append(found("names-file", name=result.name))
                said[other].append(found("named-by", name=note.name))
    return [replace(one, findings=(*one.findings, *more)) for one, more in zip(reports, said, strict=True)]
