"""Real lives are recorded from the history, in a shape that replays, without a word about whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.services import using
from tasks.lives.gate import RECORDED, read_lives, replay
from tests.tasks.lives import lived
from tests.world import World


@pytest.fixture(scope="module")
def codes(running_world: World) -> list[str]:
    """Dossiers that have lived three lives that the release brings, one of them twice."""
    with using(running_world.parts):
        at = lived.office(running_world)
        return [
            live(running_world, at)
            for live in (lived.cancelled, lived.withdrawn, lived.postponed, lived.cancelled)
        ]


def record(world: World, file: Path, *codes: str) -> Any:
    return world.type("lives", "record", *codes, "--file", file, "--json", by=None)


def test_what_really_happened_is_what_the_release_has_recorded(
    world: World, codes: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "own.json"
    said = record(world, file, *codes)
    assert said.code == 0, said.err
    shipped = {life.name: life for life in read_lives(RECORDED).lives}
    assert len(said.json) == 3, "a shape is recorded once"
    for life in read_lives(file).lives:
        known = shipped[life.name]
        assert [s.event for s in life.steps] == [s.event for s in known.steps]
        assert life.originals == known.originals
    assert replay([file]).faults == ()
    written = file.read_text(encoding="utf-8")
    assert not [code for code in codes if code in written or code.rpartition("-")[0] in written]
    assert "Sen" not in written


def test_recording_again_adds_nothing(world: World, codes: list[str], tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    record(world, file, *codes)
    before = file.read_bytes()
    assert record(world, file, *codes).json == []
    assert file.read_bytes() == before


def test_a_life_that_came_otherwise_than_the_rules_say_is_not_recorded(
    world: World, codes: list[str], tmp_path: Path
) -> None:
    world.put("update dossier set due_at = due_at + interval '1 day' where code = :c", c=codes[2])
    try:
        said = record(world, tmp_path / "own.json", codes[2])
        assert (said.code, "its promised time came otherwise" in said.err) == (5, True), said.err
        assert not (tmp_path / "own.json").exists()
    finally:
        world.put("update dossier set due_at = due_at - interval '1 day' where code = :c", c=codes[2])


def test_only_who_administers_records_lives(world: World, codes: list[str], tmp_path: Path) -> None:
    office = codes[0].partition("-")[0]
    said = world.type("lives", "record", codes[0], "--file", tmp_path / "own.json", by="mai")
    assert (said.code, "[AUTH-06]" in said.err) == (1, True), office
