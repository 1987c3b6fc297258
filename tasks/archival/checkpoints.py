"""
Checkpoints of the history, from the key to the places where nobody of this office can rewrite them.

Signing, time-stamp, archive and witness are steps of their own. Each is done for every checkpoint that lacks
it, so what an authority, the store or the witness missed today is made up for at the next look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from pathlib import Path

from sqlmodel import col, select

from infra.database import now
from infra.errors import Broken, HosoError, Unavailable
from infra.history.checkpoint import Verifier, opened
from infra.history.keeping import must_continue, newest_checkpoint, read_key, sign_checkpoint
from infra.history.recording import contents
from infra.history.tables import HistoryCheckpoint
from infra.mail import Outcome
from infra.services import services
from infra.timestamp import NoTimestamp
from tasks.archival.covering import covered_size, is_covered, wake_covered
from tasks.archival.locks import keep_in_mind, locked_until
from tasks.dossier.tables import OfficeRow

#: Where checkpoints lie in the archive bucket.
FOLDER = "checkpoints/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one look at the checkpoints did: the length that is signed now, and what is still missing where."""

    size: int
    signed: bool
    waits: tuple[str, ...]


def verifier() -> Verifier:
    """Return the public key of this history, as it is handed to whoever checks it."""
    parts = services()
    return Verifier.of(parts.settings.history_log, read_key(parts.settings.history_key_file))


def keep_checkpoint() -> Kept:
    """
    Sign the history as it stands, stamp it, put it into the archive and give it to the witness.

    Doing it again does what is missing. What cannot be done now is named in `waits`; only a history that
    does not continue what was signed before, here or in the archive, raises (`Broken`).
    """
    key = read_key(services().settings.history_key_file)
    waits = [_tried("archive", _must_continue_the_archive)]
    with services().database.transaction() as session:
        before = covered_size(session)
        made = sign_checkpoint(session, key)
        newest = made or newest_checkpoint(session)
        size = newest.size if newest else 0
    waits += [_tried("time-stamp", _stamp), _tried("archive", _archive), _tried("witness", _witness)]
    with services().database.transaction() as session:
        wake_covered(session, before)
    return Kept(size=size, signed=made is not None, waits=tuple(dict.fromkeys(w for w in waits if w)))


def cover(code: str) -> bool:
    """
    Have the history signed for a package that waits for it; return whether its entries are covered now.

    `False` while somebody else is at it: whoever makes a checkpoint wakes all that wait for it. Raises
    `NoTimestamp` or `Unavailable` when the checkpoint lacks its time-stamp or its place in the archive.
    """
    with services().database.locked("checkpoint", patience=0) as mine:
        if not mine or is_covered(code):
            return is_covered(code)
        kept = keep_checkpoint()
    if is_covered(code):
        return True
    missing = [wait for wait in kept.waits if not wait.startswith("witness")]
    if any(wait.startswith("time-stamp") for wait in missing):
        raise NoTimestamp(f"the checkpoint of the history has none: {'; '.join(missing)}")
    if missing:
        raise Unavailable(f"the checkpoint of the history is not in the archive: {'; '.join(missing)}")
    return False


def stamped_until() -> datetime | None:
    """Return the time of the newest stamped checkpoint that lies in the archive, or `None` when there is none."""
    with services().database.transaction() as session:
        done = select(HistoryCheckpoint.stamped_at).where(col(HistoryCheckpoint.version_id).is_not(None))
        return session.exec(done.order_by(col(HistoryCheckpoint.size).desc())).first()


def export_history(folder: Path) -> int:
    """
    Write what the stand-alone verifier reads into a new folder and return the number of entries.

    `entries.jsonl`, `checkpoints/`, `key`, and the verifier itself. It holds no personal data.
    """
    import infra.history.verify_history as program  # noqa: PLC0415  Read as a file, not as a module.

    folder.mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    with services().database.transaction() as session:
        rows = session.exec(select(HistoryCheckpoint).order_by(col(HistoryCheckpoint.size)))
        for row in rows:
            (folder / "checkpoints" / f"{row.size:012}").write_text(row.note, encoding="utf-8")
        count = 0
        with (folder / "entries.jsonl").open("wb") as out:
            for content in contents(session):
                out.write(content + b"\n")
                count += 1
    (folder / "key").write_text(f"{verifier()}\n", encoding="utf-8")
    (folder / "verify_history.py").write_bytes(Path(program.__file__).read_bytes())
    return count


def _tried(what: str, work: Callable[[], None]) -> str | None:
    """Do one step and return its name when time must cure it."""
    try:
        work()
    except Broken:
        raise
    except HosoError as error:
        return f"{what}: {error}"
    return None


def _must_continue_the_archive() -> None:
    """
    Raise `Broken` unless this history continues the longest checkpoint that lies in the archive.

    Only what lies there beyond the longest one that the database knows is asked for: the database's own are
    compared when the next one is signed.
    """
    store = services().archive
    with services().database.transaction() as session:
        known = newest_checkpoint(session)
        size = known.size if known else 0
    notes = [key for key in store.keys(FOLDER, after=_name(size) + "~") if key.endswith(".note")]
    if not notes:
        return
    earlier = opened(store.get(notes[-1]).decode(), verifier())
    with services().database.transaction() as session:
        must_continue(session, earlier)


def _stamp() -> None:
    """Have every checkpoint that lacks it time-stamped; only the newest matters when there are several."""
    with services().database.transaction() as session:
        newest = newest_checkpoint(session)
        if newest is None or newest.token is not None:
            return
        size, note, moment = newest.size, newest.note, now(session)
    stamp = services().timestamps.stamp(sha256(note.encode()).digest(), at=moment)
    with services().database.transaction() as session:
        row = session.get_one(HistoryCheckpoint, size)
        row.token, row.stamped_by, row.stamped_at = stamp.token, stamp.authority, stamp.time
        session.add(row)


def _archive() -> None:
    """Put note and time-stamp of every checkpoint into the archive, under the lock of what is kept for ever."""
    store = services().archive
    with services().database.transaction() as session:
        missing = select(HistoryCheckpoint).where(
            col(HistoryCheckpoint.version_id).is_(None), col(HistoryCheckpoint.token).is_not(None)
        )
        rows = [(r.size, r.note, r.token or b"", r.signed_at) for r in session.exec(missing)]
    for size, note, token, moment in rows:
        until = locked_until(moment, None)
        stored = store.put_locked(
            f"{_name(size)}.note", note.encode(), content_type="text/plain", retain_until=until
        )
        stamp = store.put_locked(
            f"{_name(size)}.tst", token, content_type="application/timestamp-reply", retain_until=until
        )
        with services().database.transaction() as session:
            row = session.get_one(HistoryCheckpoint, size)
            row.key, row.version_id = stored.key, stored.version_id
            session.add(row)
            keep_in_mind(session, "checkpoint", stored)
            keep_in_mind(session, "time-stamp", stamp)


def _name(size: int) -> str:
    """Return the key of a checkpoint's two objects, without what tells them apart; keys sort by length."""
    return f"{FOLDER}{size:012}"


def _witness() -> None:
    """Give the newest checkpoint to the witness that the settings name: a folder, or another office's mailbox."""
    where = services().settings.history_witness
    with services().database.transaction() as session:
        newest = newest_checkpoint(session)
        if not where or newest is None or newest.witnessed_at is not None:
            return
        size, note = newest.size, newest.note
        office = session.exec(select(OfficeRow).order_by(col(OfficeRow.code))).first()
        sender = office.body["mailbox"] if office else where.removeprefix("mailto:")
    if where.startswith("mailto:"):
        _mail(sender, where.removeprefix("mailto:"), size, note)
    else:
        _write(Path(where), size, note)
    with services().database.transaction() as session:
        row = session.get_one(HistoryCheckpoint, size)
        row.witnessed_at = now(session)
        session.add(row)


def _write(folder: Path, size: int, note: str) -> None:
    """Put a note into the witness's folder; what is there already is never written over."""
    file = folder / f"{size:012}.note"
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(note)
    except FileExistsError:
        if file.read_text(encoding="utf-8") != note:
            raise Broken(
                f"the witness holds another checkpoint of {size} entries: the history was forked"
            ) from None
    except OSError as error:
        raise Unavailable(f"the witness's folder cannot be written to ({error.strerror})") from error


def _mail(sender: str, address: str, size: int, note: str) -> None:
    """Send a note to the witness; the same message again has the same id."""
    log = services().settings.history_log
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = address
    message["Subject"] = f"[{log}] checkpoint {size}"
    message["Message-ID"] = f"<checkpoint-{size}.{sha256(note.encode()).hexdigest()[:16]}@{log}.hoso>"
    message.set_content(note, charset="utf-8")
    answer = services().mail.send(message)
    if answer.outcome != Outcome.ACCEPTED:
        raise Unavailable(f"the witness's mailbox did not take it ({answer.code})")
