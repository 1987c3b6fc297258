"""The release gate: the rules of this program are tried on recorded lives before anything is touched."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from infra.errors import Forbidden
from tasks.dossier.procedures import SHIPPED, Procedure, read_procedure
from tasks.dossier.procedures.comparing import differences
from tasks.lives.rules import Lives, faults

#: The lives that come with the program.
RECORDED = Path(__file__).with_name("recorded.json")

#: How many differences a refusal names.
_NAMED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """How many lives were replayed, and in what the rules differ from those that they were lived under."""

    lives: int
    faults: tuple[str, ...]


def replay(files: Sequence[Path]) -> Replayed:
    """Return what replaying the lives in some files says; reads these files and shipped definitions, nothing else."""
    count, found = 0, list[str]()
    for file in files:
        lives = read_lives(file)
        count += len(lives.lives)
        found += [*faults(lives), *_edited(lives)]
    return Replayed(lives=count, faults=tuple(dict.fromkeys(found)))


def pass_gate(files: Sequence[Path]) -> int:
    """Return how many lives were replayed; refuses (RELEASE-01) a program that treats any of them otherwise."""
    replayed = replay(files)
    refuse(replayed.faults)
    return replayed.lives


def refuse(faults: Sequence[str]) -> None:
    """Refuse (RELEASE-01) a program that treats dossiers otherwise; without faults nothing is said."""
    if faults:
        shown = [*faults[:_NAMED]]
        more = len(faults) - len(shown)
        said = "; ".join([*shown, *([f"and {more} more"] if more else [])])
        raise Forbidden(
            f"this release treats dossiers otherwise than they were treated before: {said}.",
            rule="RELEASE-01",
            way_out="Undo the change; or, if it is meant, record it: hoso lives accept --why “…”.",
        )


def read_lives(file: Path) -> Lives:
    """Return the lives in a file; refuses (RELEASE-02) one that is missing or torn."""
    try:
        return Lives.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        said = error.strerror if isinstance(error, OSError) else f"{error.error_count()} faults in its form"
        raise Forbidden(
            f"the recorded lives in {file} cannot be read: {said}.",
            rule="RELEASE-02",
            way_out="Take the file from the release anew, or name the right one.",
        ) from error


def write_lives(file: Path, lives: Lives) -> None:
    """Write a file of lives, whole or not at all; the same lives make the same bytes."""
    new = file.with_name(file.name + ".new")
    body = lives.model_dump(mode="json")
    new.write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    os.replace(new, file)


def _edited(lives: Lives) -> list[str]:
    """Return which shipped definitions are not what lives were lived under: a version is never edited (GEN-02)."""
    shipped = {}
    for path in sorted(SHIPPED.glob("*.yaml")):
        one = read_procedure(path)
        shipped[one.code, one.version] = one
    found = []
    for life in lives.lives:
        body = {name: value for name, value in life.procedure.items() if name in _FIELDS}
        old = Procedure.model_validate(body)
        new = shipped.get((old.code, old.version))
        if new is not None and new != old:
            said = differences(old, new) or [f"begins: {old.effective_from} → {new.effective_from}"]
            found.append(f"the shipped {old.code} v{old.version} was edited: {'; '.join(said)} [GEN-02]")
    return found


_FIELDS = {field.alias or name for name, field in Procedure.model_fields.items()}
