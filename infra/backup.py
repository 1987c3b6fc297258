"""
Backups of the database: a base copy now and then, and every change as it happens.

PostgreSQL's own programs do the work: `pg_basebackup` and `pg_verifybackup` for the base, `pg_receivewal` for
the log of changes (WAL), which is streamed, so that what is lost with the server is less than a second and not
a night. Documents are not in here: they lie in the object store, which keeps copies of its own. Nor are keys: they do
not leave their tokens.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import make_url

from infra.clock import SystemClock
from infra.environment import environment
from infra.errors import Broken, Forbidden, Unavailable
from infra.settings import Settings, read_secret

#: The slot in which the server keeps what the receiver of changes has not taken yet, and the receiver's name:
#: with `synchronous_standby_names = 'hoso_backup'` no commit is acknowledged before the receiver has it.
SLOT = "hoso_backup"

_WAL = "wal"
_BASE = "base-"
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """One base copy: where it is and when it was begun."""

    folder: Path
    begun_at: datetime


def take_base(chosen: Settings, folder: Path) -> Base:
    """
    Copy the whole server into `folder/base-<time>` and return the copy, once it was verified file by file.

    An interrupted copy keeps the name `….new` and is never restored from. Raises `Unavailable` when the
    server does not answer, `Broken` when the copy does not match its manifest.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    begun = SystemClock().now()
    final = folder / f"{_BASE}{begun:%Y%m%dT%H%M%SZ}"
    new = final.with_name(final.name + ".new")
    _run(chosen, "pg_basebackup", f"--pgdata={new}", "--checkpoint=fast", "--wal-method=stream",
         "--manifest-checksums=SHA256")  # fmt: skip
    verify(chosen, new)
    new.rename(final)
    return Base(folder=final, begun_at=begun)


def verify(chosen: Settings, base: Path) -> None:
    """Return if every file of a base copy is as its manifest says; raises `Broken` naming the first that is not."""
    done = subprocess.run(
        [_program(chosen, "pg_verifybackup"), "--exit-on-error", "--quiet", str(base)],
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise Broken(f"the base copy {base.name} is damaged: {_last_line(done.stderr)}")


def receiver(chosen: Settings, folder: Path) -> list[str]:
    """Return the command that takes every change of the server into `folder/wal`, for as long as it runs."""
    (folder / _WAL).mkdir(parents=True, exist_ok=True, mode=0o700)
    return [
        _program(chosen, "pg_receivewal"), f"--directory={folder / _WAL}", f"--slot={SLOT}", "--synchronous",
        f"--dbname=application_name={SLOT}", *_connection(chosen),
    ]  # fmt: skip


def make_slot(chosen: Settings, folder: Path) -> None:
    """Make the server keep its changes until the receiver has them; making it again changes nothing."""
    _run(
        chosen, "pg_receivewal", f"--directory={folder}", f"--slot={SLOT}", "--create-slot", "--if-not-exists"
    )


def bases(folder: Path) -> list[Base]:
    """Return the whole base copies of a backup, the newest last."""
    found = [f for f in sorted(folder.glob(f"{_BASE}*")) if f.is_dir() and not f.name.endswith(".new")]
    return [Base(folder=f, begun_at=_moment(f.name)) for f in found]


def restore(chosen: Settings, folder: Path, into: Path) -> Base:
    """
    Lay the newest base copy into an empty folder `into`, set to run through every change that was received.

    The server that is started on it then recovers by itself up to the last change. Nothing is ever restored
    over a folder that holds anything. Raises `Forbidden` for that and where there is no base, `Broken` for a
    damaged one.
    """
    if into.exists() and any(into.iterdir()):
        raise Forbidden(
            f"{into} is not empty.",
            rule="RESTORE",
            way_out="Move it aside first; a restore writes over nothing.",
        )
    known = bases(folder)
    if not known:
        raise Forbidden(
            f"{folder} holds no whole base copy.", rule="RESTORE", way_out="Take one with “hoso backup”."
        )
    base = known[-1]
    verify(chosen, base.folder)
    shutil.copytree(base.folder, into, dirs_exist_ok=True, symlinks=True)
    into.chmod(0o700)
    wal = (folder / _WAL).absolute()
    # The last file of the receiver is still growing and has a name of its own.
    fetch = f'cp "{wal}/%f" "%p" || cp "{wal}/%f{_PARTIAL}" "%p"'
    with (into / "postgresql.auto.conf").open("a", encoding="utf-8") as out:
        out.write(f"restore_command = '{fetch}'\nrecovery_target_timeline = 'latest'\n")
        out.write("hot_standby = off\n")  # Nobody gets in before the last change is there.
    (into / "recovery.signal").touch()
    return base


def settled(into: Path) -> None:
    """Take the recovery settings out again, once the server has recovered."""
    file = into / "postgresql.auto.conf"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    ours = ("restore_command", "recovery_target_timeline", "hot_standby")
    file.write_text("".join(line for line in lines if not line.startswith(ours)), encoding="utf-8")


def _moment(name: str) -> datetime:
    """Return the time in a base copy's name."""
    return datetime.strptime(name.removeprefix(_BASE), "%Y%m%dT%H%M%S%z")


def _program(chosen: Settings, name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    beside = chosen.postgres_bin / name if chosen.postgres_bin else None
    found = str(beside) if beside else shutil.which(name)
    if found is None:
        raise Unavailable(f"{name} is not on this machine; set HOSO_POSTGRES_BIN")
    return found


def _connection(chosen: Settings) -> Sequence[str]:
    """Return how PostgreSQL's programs reach the server; the password goes through the environment."""
    url = make_url(chosen.database_admin_url)
    return (f"--host={url.host}", f"--port={url.port}", f"--username={url.username}", "--no-password")


def with_password(chosen: Settings) -> dict[str, str]:
    """Return the environment in which PostgreSQL's programs find the password."""
    return environment({"PGPASSWORD": read_secret(chosen.database_admin_password_file)})


def _run(chosen: Settings, name: str, *options: str) -> None:
    """Run one of PostgreSQL's programs against the server; raises `Unavailable` with its last words."""
    done = subprocess.run(
        [_program(chosen, name), *_connection(chosen), *options],
        env=with_password(chosen), capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"{name} did not end well: {_last_line(done.stderr)}")


def _last_line(said: str) -> str:
    """Return the last line that a program said."""
    return next((line for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
