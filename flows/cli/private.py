"""
What is personal comes in by a file, a descriptor or a question, never by an argument.

Everybody on a machine can read the arguments of everybody's commands, and shells remember them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from infra.errors import Forbidden
from tasks.dossier.opening import Applicant

#: The option of a command that needs the applicant.
Person = Annotated[
    str,
    typer.Option(
        "--applicant",
        metavar="FILE",
        help="YAML or JSON with name, identity, address, telephone, email, account; - for standard input. "
        "Without it you are asked.",
    ),
]
#: The option of a command that needs a reason in words.
Why = Annotated[
    str,
    typer.Option(
        "--why", metavar="FILE", help="The reason in words; - for standard input. Without it you are asked."
    ),
]

_FACTS = {
    "name": "The applicant's name",
    "identity": "Identity number",
    "address": "Address",
    "telephone": "Telephone",
    "email": "E-mail (empty: none)",
    "account": "Portal account (empty: none)",
}
_MOST = 20_000  # characters


def words(source: str, question: str, *, needed: bool = True) -> str:
    """
    Return a text from where `source` says: a file, `-` for standard input, `fd:NUMBER`; asked for when it is empty.

    Refuses when there is nobody to ask for what is needed, and a source that cannot be read; that is mostly
    the text itself, typed where its file belongs.
    """
    if not source:
        if not needed and not sys.stdin.isatty():
            return ""
        if not sys.stdin.isatty():
            raise Forbidden(
                f"there is nobody to ask for this: {question.lower()}.",
                rule="PRIVATE-01",
                way_out="Give a file, or - and the text on standard input.",
            )
        return str(typer.prompt(question, default=None if needed else "")).strip()
    try:
        return _read(source).strip()
    except (OSError, ValueError) as error:
        raise Forbidden(
            f"{question.lower()}: what is named there cannot be read.",
            rule="PRIVATE-01",
            way_out="Name a file (or - for standard input): everybody on this machine could read an argument.",
        ) from error


def facts(source: str, questions: dict[str, str]) -> dict[str, str]:
    """Return named facts from a YAML or JSON source, or asked for one by one; refuses names that are not asked for."""
    if not source and sys.stdin.isatty():
        return {name: str(typer.prompt(said, default="")).strip() for name, said in questions.items()}
    text = words(source, ", ".join(questions))
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict) or not set(found) <= set(questions):
        raise Forbidden(
            f"that does not say {', '.join(questions)}, and nothing else.",
            rule="PRIVATE-01",
            way_out="Write one “name: value” a line; docs/operations.md shows one.",
        )
    return {str(name): "" if value is None else str(value).strip() for name, value in found.items()}


def applicant(source: str) -> Applicant:
    """Return the applicant whom a file, standard input or the person at the desk names (CERT-04)."""
    said = facts(source, _FACTS)
    return Applicant(
        name=said.get("name", ""),
        identity=said.get("identity", ""),
        address=said.get("address", ""),
        telephone=said.get("telephone", ""),
        email=said.get("email") or None,
        account=said.get("account") or None,
    )


def _read(source: str) -> str:
    """Return what a source holds."""
    if source == "-":
        return sys.stdin.read(_MOST)
    if source.startswith("fd:"):
        with os.fdopen(int(source.removeprefix("fd:")), encoding="utf-8") as stream:
            return stream.read(_MOST)
    with Path(source).open(encoding="utf-8") as stream:
        return stream.read(_MOST)
