"""What an original's result is once it is released, and what travels with it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session

from infra.errors import Broken
from tasks.dossier.papers import finished, newest
from tasks.dossier.routes import frozen_of
from tasks.dossier.tables import DocumentRow, OriginalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The document that a result consists of, and the signed note that goes with one that takes no signature."""

    document: DocumentRow
    note: DocumentRow | None


def released(session: Session, original: OriginalRow) -> Released:
    """
    Return an original's released document: sealed by the agency, with its evidence, or another agency's result.

    A result that takes no further signature is returned unchanged; then the sealed document is its delivery
    note. Raises `Broken` where there is nothing to release.
    """
    sealed = finished(session, original.dossier, original.ordinal)
    result = newest(session, original.dossier, original.ordinal, "result")
    frozen = frozen_of(session, original)
    if frozen is not None and frozen.facts.get("note") and result is not None:
        return Released(document=result, note=sealed)
    document = sealed or result
    if document is None:
        raise Broken(f"{original.dossier}/{original.ordinal} is valid but has no released document")
    return Released(document=document, note=None)
