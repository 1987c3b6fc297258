"""
The standing list: which results stand on a day, in a form that anybody can read without this system.

A C2SP signed note (https://c2sp.org/signed-note). Its text names the list, when it was issued and when the
next one is due; then one line a document: the SHA-256 of the file and how it stands. There is nothing
personal in it. It is signed with the history's key under a name of its own: `LOG/standing`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.errors import Broken
from infra.history.checkpoint import Verifier, opened_text, sign_text

#: What is put behind the name of the history, so that a list is never taken for a checkpoint.
_SUFFIX = "/standing"
_FORM = "hoso standing list v1"
_LINE = re.compile(
    r"(?P<sha256>[0-9a-f]{64}) "
    r"(?:valid|withdrawn (?P<withdrawn>\S+)|replaced (?P<replaced>\S+) (?P<by>[0-9a-f]{64}))"
)


class State(StrEnum):
    """What a list says of a file."""

    VALID = "valid"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How one file stands; since when, if it stands no more; and the SHA-256 of what replaces it."""

    sha256: str
    state: State
    since: datetime | None = None
    replaced_by: str = ""

    def text(self) -> str:
        """
        Return the line as the list writes it.

        >>> Line(sha256="ab" * 32, state=State.VALID).text()[-8:]
        'ab valid'
        """
        since = f" {_written(self.since)}" if self.since else ""
        by = f" {self.replaced_by}" if self.replaced_by else ""
        return f"{self.sha256} {self.state}{since}{by}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingList:
    """What stands at a moment, and until when that may be believed."""

    name: str
    issued_at: datetime
    next_update: datetime
    lines: Mapping[str, Line]

    def text(self) -> str:
        """Return what is signed: whole seconds in UTC, lines in order of their hash."""
        head = [
            self.name,
            _FORM,
            f"issued {_written(self.issued_at)}",
            f"next {_written(self.next_update)}",
            f"documents {len(self.lines)}",
        ]
        return "\n".join([*head, *(self.lines[one].text() for one in sorted(self.lines))]) + "\n"

    def is_old(self, at: datetime) -> bool:
        """Whether a newer list should be there by now."""
        return at >= self.next_update

    def find(self, content: bytes) -> Line | None:
        """
        Return the line of a file, or of the revision that a file was built on, or `None`.

        Whoever adds a signature or a time-stamp to a PDF appends to it, so the listed bytes are its
        beginning still; the newest listed revision counts.
        """
        found = (self.lines.get(sha256) for sha256 in _revisions(content))
        return next((line for line in found if line is not None), None)


def signed(made: StandingList, key: Ed25519PrivateKey) -> str:
    """Return a list as it is handed out."""
    return sign_text(made.text(), made.name, key)


def list_name(log: str) -> str:
    """
    Return the name that a history's standing lists are signed under.

    >>> list_name("hoso")
    'hoso/standing'
    """
    return log + _SUFFIX


def read_list(note: str, verifier: Verifier) -> StandingList:
    """
    Return a list that this history's key has signed; the key is the one that “hoso history key” prints.

    Raises `Broken` for another signature, another form, or a list that is not written as it should be.
    """
    own = Verifier(name=list_name(verifier.name), key=verifier.key)
    text = opened_text(note, own)
    rows = text.splitlines()
    try:
        issued, due = _moment(rows[2], "issued"), _moment(rows[3], "next")
        lines = [_read_line(row) for row in rows[5:]]
    except (IndexError, ValueError) as error:
        raise Broken("the note holds no standing list") from error
    found = StandingList(
        name=rows[0], issued_at=issued, next_update=due, lines={line.sha256: line for line in lines}
    )
    if rows[1] != _FORM or rows[0] != own.name or found.text() != text:
        raise Broken("the note holds no standing list")
    return found


def _read_line(row: str) -> Line:
    """Return what one line says; raises `ValueError`."""
    read = _LINE.fullmatch(row)
    if read is None:
        raise ValueError(row)
    since = read["withdrawn"] or read["replaced"]
    state = State.WITHDRAWN if read["withdrawn"] else State.REPLACED if read["replaced"] else State.VALID
    return Line(
        sha256=read["sha256"],
        state=state,
        since=datetime.fromisoformat(since) if since else None,
        replaced_by=read["by"] or "",
    )


def _moment(row: str, what: str) -> datetime:
    """Return the moment of a line of the head; raises `ValueError`."""
    said, _, moment = row.partition(" ")
    if said != what:
        raise ValueError(row)
    return datetime.fromisoformat(moment)


def _written(moment: datetime) -> str:
    """Return a moment as the list writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


#: What a revision may end with behind `%%EOF`.
_TAILS: Sequence[bytes] = (b"", b"\n", b"\r", b"\r\n")


def _revisions(content: bytes) -> Iterator[str]:
    """Yield the SHA-256 of a file, then of its earlier revisions, newest first."""
    cuts, end = {len(content)}, content.find(b"%%EOF")
    while end >= 0:
        cuts |= {end + 5 + len(tail) for tail in _TAILS if content.startswith(tail, end + 5)}
        end = content.find(b"%%EOF", end + 5)
    hashes: list[str] = []
    running, at = hashlib.sha256(), 0
    for cut in sorted(cuts):
        running.update(content[at:cut])
        at = cut
        hashes.append(running.copy().hexdigest())
    yield from reversed(hashes)
