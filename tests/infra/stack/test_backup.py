"""The database destroyed without warning, and put back from its base copy and the changes that were received."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import backup
from infra.errors import Broken, Forbidden
from infra.stack.backup import lay_back, settings_of
from infra.stack.drill import drill
from infra.stack.layout import Place
from infra.stack.postgres import administrator
from infra.stack.run import down, up


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder for a stack that is taken down again."""
    yield tmp_path / "stack"
    down(tmp_path / "stack")


def test_nothing_that_was_acknowledged_is_missing_after_the_server_was_destroyed(root: Path) -> None:
    found = drill(root, seconds=2)
    assert found.acknowledged > 0
    assert found.lost == 0
    assert found.restored >= found.acknowledged
    again = drill(root, seconds=1)
    assert again.lost == 0, "what was restored can be lost and restored again"
    assert again.acknowledged > found.restored


def test_a_base_copy_alone_is_an_old_state_and_a_damaged_one_is_refused(root: Path) -> None:
    up(root, ["database", "backup"])
    place = Place.at(root)
    chosen, folder = settings_of(place), place.folder("backup")
    with pytest.raises(Forbidden, match="no whole base copy"):
        backup.restore(chosen, folder, root / "elsewhere")
    base = backup.take_base(chosen, folder)
    with administrator(place, "hoso") as connection:
        connection.execute("create table after_the_base (n int)")
    down(root)
    shutil.rmtree(folder / "wal")
    (folder / "wal").mkdir()
    aside = lay_back(place)
    assert aside
    assert (aside / "PG_VERSION").exists(), "what was there is moved aside, never deleted"
    up(root, ["database"])
    with administrator(place, "hoso") as connection:
        found = connection.execute("select to_regclass('after_the_base')").fetchone()
    assert found == (None,)

    with pytest.raises(Forbidden, match="not empty"):
        backup.restore(chosen, folder, base.folder)
    victim = next(f for f in (base.folder / "base").rglob("*") if f.is_file() and f.stat().st_size > 8192)
    content = bytearray(victim.read_bytes())
    content[5000] ^= 1
    victim.write_bytes(content)
    with pytest.raises(Broken, match="damaged"):
        backup.restore(chosen, folder, root / "elsewhere")
    assert not (root / "elsewhere").exists()


def test_an_interrupted_copy_is_never_restored_from(root: Path) -> None:
    (root / "backup" / "base-20261122T000000Z.new").mkdir(parents=True)
    assert backup.bases(root / "backup") == []
