"""Who types: the login of this desk, secrets that are asked for, and the credential of those who set things up."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from sqlmodel import Session

from infra.errors import Forbidden
from infra.private_file import read_private
from infra.schema import holds_owner
from infra.services import services
from tasks.dossier.moves import Actor
from tasks.people.acting import acting, scope
from tasks.people.desk import logged_in
from tasks.people.rules import EVERY

#: Whoever holds the credential of the tables' owner: who installs the system.
ENGINEER = Actor(role="engineer")


def administrator(session: Session, act: str, *, office: str = EVERY) -> Actor:
    """
    Return who may do an act of the administration: an administrator, or an engineer who sets things up.

    An engineer is whoever types where nobody is logged in and the password file of the tables' owner works:
    that is how an installation gets its first people. Raises `Forbidden`: LOGIN-01 when it is neither,
    AUTH-06 when the person who is logged in is no administrator there.
    """
    try:
        me = logged_in()
    except Forbidden as error:
        if error.rule == "LOGIN-01" and holds_owner(services().settings):
            return ENGINEER
        raise
    return acting(session, me, act, office=office)


def somebody() -> None:
    """
    Refuse (LOGIN-01) where nobody is logged in and no engineer is at work.

    For acts that must read what was typed before they can ask whether this person may do that: it comes first.
    """
    try:
        logged_in()
    except Forbidden as error:
        if error.rule != "LOGIN-01" or not holds_owner(services().settings):
            raise


def operator(act: str) -> Actor:
    """
    Return who may do an act of those who run the system, before it begins: somebody by name, or an engineer.

    Raises `Forbidden`: LOGIN-01, AUTH-06 and, where the act changes something, OPS-01.
    """
    try:
        me = logged_in()
    except Forbidden as error:
        if error.rule == "LOGIN-01" and holds_owner(services().settings):
            return ENGINEER
        raise
    with services().database.transaction() as session:
        return scope(session, me, act).actor


def secrets(prompts: list[str], fd: int | None, file: Path | None) -> list[str]:
    """
    Return secrets, one a line, from a file descriptor, a file of the user's own (0600), or the keyboard.

    Never from the command line, which everybody on the machine can read. Raises `Forbidden` (LOGIN-03).
    """
    if fd is not None:
        with os.fdopen(fd, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    elif file is not None:
        lines = _in_file(file)
    elif sys.stdin.isatty():
        return [getpass.getpass(prompt) for prompt in prompts]
    else:
        raise Forbidden(
            "there is nobody to ask for the secret.",
            rule="LOGIN-03",
            way_out="Give a file descriptor or a file; “--help” names the options.",
        )
    if len(lines) < len(prompts) or not all(lines):
        raise Forbidden(
            f"{len(prompts)} lines are needed: {', then '.join(p.strip(': ') for p in prompts)}.",
            rule="LOGIN-03",
            way_out="Write each secret on a line of its own.",
        )
    return lines[: len(prompts)]


def _in_file(file: Path) -> list[str]:
    """Return the lines of a file that only its user can read."""
    try:
        return read_private(file).splitlines()
    except OSError as error:
        raise Forbidden(
            f"the file {file} cannot be read: {error.strerror}.",
            rule="LOGIN-03",
            way_out="Give the path of a file that only you can read.",
        ) from error
