"""What an installation adds to the archive's catalogue, as data: the shipped terms, or its own (ARC-06, ARC-07)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from infra.errors import Forbidden

#: The terms that are shipped.
SHIPPED = Path(__file__).with_name("terms.yaml")

#: What may be said: a text, a list of them, or that it is not known.
Value = str | list[str] | None


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OwnTerms(_Data):
    """What differs for one procedure."""

    record: dict[str, Value] = {}
    document: dict[str, Value] = {}


class Terms(_Data):
    """What is said of the fonds, of every dossier and of every document, and what differs for a procedure."""

    fonds: dict[str, Value]
    record: dict[str, Value]
    document: dict[str, Value]
    procedures: dict[str, OwnTerms] = {}

    def of_record(self, procedure: str) -> dict[str, Any]:
        """Return what is said of a dossier of a procedure."""
        own = self.procedures.get(procedure, OwnTerms()).record
        return {"phong": dict(self.fonds), **self.record, **own}

    def of_document(self, procedure: str) -> dict[str, Any]:
        """Return what is said of each of its documents."""
        return {**self.document, **self.procedures.get(procedure, OwnTerms()).document}


@cache
def read_terms(path: Path | None) -> Terms:
    """Return the terms of a file, or the shipped ones; refuses a file that breaks the schema."""
    chosen = path or SHIPPED
    try:
        return Terms.model_validate(yaml.safe_load(chosen.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError, OSError) as error:
        raise Forbidden(
            f"{chosen.name} does not hold terms of the archive: {error}.",
            rule="ARC-06",
            way_out="Correct the file; tasks/archival/terms.yaml shows a complete one.",
        ) from error
