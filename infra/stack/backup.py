"""The receiver of the stack's database changes, and the way back after the database was lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra import backup
from infra.clock import SystemClock
from infra.settings import Settings, read_secret
from infra.stack.layout import Place, write_private
from infra.stack.parts import LOOPBACK, Part
from infra.stack.postgres import Database, hand_over
from infra.stack.process import Command


class Receiver(Part):
    """Takes every change of the database as it happens, into a folder of its own."""

    name = "backup"
    needs = ("database",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Say where the backup lies."""
        return {"HOSO_BACKUP_DIR": str(place.folder("backup"))}

    def prepare(self, place: Place) -> None:
        """Make the slot in which the server keeps what was not taken yet."""
        place.folder("backup", "wal")
        backup.make_slot(settings_of(place), place.folder("backup", "wal"))
        password = read_secret(place.secret("postgres"))
        write_private(_password_file(place), f"{LOOPBACK}:{place.port('database')}:*:postgres:{password}\n")

    def command(self, place: Place) -> Command:
        """Run PostgreSQL's own receiver."""
        folder = place.folder("backup")
        return Command(
            argv=tuple(backup.receiver(settings_of(place), folder)),
            environment={"PGPASSFILE": str(_password_file(place)), "LC_ALL": "C"},
            folder=folder,
        )

    def ready(self, place: Place) -> bool:
        """Tell whether it has begun to receive."""
        return any(place.folder("backup", "wal").glob("*"))


def settings_of(place: Place) -> Settings:
    """Return what the backup must know of a stack, whatever else the environment says."""
    chosen = {**Database().settings(place), **Receiver().settings(place)}
    values = {name.removeprefix("HOSO_").lower(): value for name, value in chosen.items()}
    return Settings.read(None, **values)


def lay_back(place: Place) -> Path | None:
    """
    Put the newest base copy where the stack's database lies; its next start recovers all that was received.

    What was there is moved aside, and returned. The stack must be down. Raises what `backup.restore` raises,
    and then nothing has been moved.
    """
    folder = place.folder("postgres")
    data, new = folder / "data", folder / "data.restored"
    backup.restore(settings_of(place), place.folder("backup"), new)
    aside = None
    if data.exists():
        aside = folder / f"data.lost-{SystemClock().now():%Y%m%dT%H%M%SZ}"
        data.rename(aside)
    new.rename(data)
    hand_over(folder)
    return aside


def _password_file(place: Place) -> Path:
    """Return the file, in PostgreSQL's own format, that holds the administrator's password."""
    return place.root / "secrets" / "backup_pgpass"
