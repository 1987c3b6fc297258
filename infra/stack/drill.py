"""
The restore drill: destroy the database of a stack while work is going on, restore it, and say what is missing.

`python -m infra.stack.drill [--root FOLDER] [--asynchronous]` writes history entries as fast as one writer can,
kills the server without warning in the middle, deletes its data, restores from base copy and received changes,
and compares: every entry that was acknowledged must be there. Prints one JSON object; exit 1 when any is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from infra import backup
from infra.database import Database, connection_url
from infra.errors import HosoError, Unavailable
from infra.history.recording import head, record
from infra.settings import Settings
from infra.stack.backup import lay_back, settings_of
from infra.stack.layout import Place
from infra.stack.postgres import administrator
from infra.stack.process import read_identity
from infra.stack.run import DEFAULT_ROOT, down, up

PARTS = ("database", "backup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What a drill found: acknowledged and restored entries, and the two figures that people ask for."""

    acknowledged: int
    restored: int
    lost: int
    rpo_seconds: float  # from the last restored entry to the last acknowledged one
    rto_seconds: float  # from the order to restore until the database takes changes again


def drill(
    root: Path, *, parts: tuple[str, ...] = PARTS, seconds: float = 5.0, synchronous: bool = True
) -> Drilled:
    """
    Do the drill on a stack and return what it found; the lost data is deleted, the stack is up afterwards.

    `synchronous`: no commit is acknowledged before the receiver has it, so nothing may be lost; without it
    what was on its way is.
    """
    place = Place.at(root)
    database = _database(up(root, parts))
    backup.take_base(settings_of(place), place.folder("backup"))
    if synchronous:  # After the base copy, which must not carry it: the restored server has no receiver yet.
        with administrator(place, "postgres") as connection:
            connection.execute(f"alter system set synchronous_standby_names = '{backup.SLOT}'")
            connection.execute("select pg_reload_conf()")
    acknowledged: list[tuple[int, float]] = []
    writer = threading.Thread(target=_write, args=(database, acknowledged))
    writer.start()
    time.sleep(seconds)
    _destroy(place)
    writer.join()
    ordered = time.monotonic()
    down(root)
    lay_back(place)
    up(root, parts)
    backup.settled(place.folder("postgres") / "data")
    ready = time.monotonic()
    with database.transaction() as session:
        size = head(session)[0]
    backup.take_base(settings_of(place), place.folder("backup"))
    last = acknowledged[-1]
    kept = [moment for position, moment in acknowledged if position < size]
    return Drilled(
        acknowledged=last[0] + 1,
        restored=size,
        lost=max(0, last[0] + 1 - size),
        rpo_seconds=round(last[1] - kept[-1], 3) if kept else float("inf"),
        rto_seconds=round(ready - ordered, 1),
    )


def _database(settings_file: Path) -> Database:
    """Return the stack's database as the application sees it."""
    chosen = Settings.read(settings_file)
    return Database(connection_url(chosen.database_url, chosen.database_password_file), pooled=False)


def _write(database: Database, acknowledged: list[tuple[int, float]]) -> None:
    """Write entries until the database is gone, and remember each that was acknowledged, and when."""
    try:
        while True:
            with database.transaction() as session:
                record(session, "drill", {"event": "drill:written", "actor": {"role": "engineer"}})
                position = head(session)[0] - 1
            acknowledged.append((position, time.monotonic()))
    except HosoError:
        return


def _destroy(place: Place) -> None:
    """Kill the database without warning, and delete all that it had."""
    leader = read_identity(place.pid_file("database"))
    if leader is None:
        raise Unavailable("the database does not run")
    os.kill(leader.pid, signal.SIGKILL)
    data = place.folder("postgres") / "data"
    for _ in range(200):  # its children notice within moments and may still be writing
        shutil.rmtree(data, ignore_errors=True)
        if not data.exists():
            return
        time.sleep(0.05)
    raise Unavailable(f"{data} could not be deleted")


def main() -> int:
    """Do a drill and print what it found."""
    parser = argparse.ArgumentParser(description="Destroy the database of a stack, restore it, and compare.")
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to write before the loss")
    parser.add_argument("--asynchronous", action="store_true", help="acknowledge before the receiver has it")
    chosen = parser.parse_args()
    found = drill(chosen.root, seconds=chosen.seconds, synchronous=not chosen.asynchronous)
    print(json.dumps(asdict(found)))
    return 1 if found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
