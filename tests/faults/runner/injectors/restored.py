"""F21: a base copy is taken and restored beside the running office; what was acknowledged before is in it."""

from __future__ import annotations

import shutil

from infra import backup
from infra.stack.backup import settings_of
from infra.stack.layout import Place
from infra.stack.postgres import administrator, hand_over
from infra.stack.run import down, up
from tests.faults.runner.injectors import Fault, Scene


def inject(scene: Scene) -> str:
    """Copy the database under load, restore the copy and the changes received since, and compare."""
    site = scene.site
    folder = site.place.folder("backup")
    copied = backup.take_base(settings_of(site.place), folder)
    at = site.journal.seconds  # Whatever the journal said before was acknowledged before.
    acknowledged = site.ask("select size from history_head")[0][0]
    here = site.ask("select pg_current_wal_flush_lsn()")[0][0]
    taken = "select 1 from pg_stat_replication where application_name = %s and flush_lsn >= %s::pg_lsn"
    if not site.wait_for(lambda: site.ask(taken, backup.SLOT, here), 60):
        site.journal.tell("note", what="the receiver of changes was away")
        shutil.rmtree(copied.folder)
        return ""
    beside = Place.at(site.root / "restored")
    shutil.copytree(site.root / "secrets", beside.root / "secrets", dirs_exist_ok=True)
    data = beside.folder("postgres") / "data"
    try:
        backup.restore(settings_of(site.place), folder, data)
        hand_over(beside.folder("postgres"))
        up(beside.root, ("database",))
        with administrator(beside, "hoso") as connection:
            size, entries = connection.execute(
                "select (select size from history_head), (select count(*) from history_entry)"
            ).fetchone()  # type: ignore[misc]
            known = {str(row[0]) for row in connection.execute("select code from dossier")}
            last = connection.execute(
                "select entry from history_entry where position = %s", [acknowledged - 1]
            ).fetchone()
        ours = site.ask("select entry from history_entry where position = %s", acknowledged - 1)[0]
        same = last is not None and bytes(last[0]) == bytes(ours[0])
        site.journal.tell("restored", at=at, acknowledged=acknowledged, size=size, entries=entries, same=same,
                          known=sorted(known))  # fmt: skip
    finally:
        down(beside.root, patience=5)
        shutil.rmtree(beside.root, ignore_errors=True)
        shutil.rmtree(copied.folder, ignore_errors=True)
    return f"{size} entries restored, {acknowledged} were acknowledged"


FAULTS = [Fault(row="F21", name="restored-beside-the-office", inject=inject, slow=True)]
