"""Packages are made ready side by side, and nobody who deals with them sees that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from threading import Barrier, Lock

import pytest

from tasks.exchange import abreast as module
from tasks.exchange.abreast import abreast


def light(_job: object) -> int:
    return 1


def test_they_are_dealt_with_in_their_order_however_long_each_takes() -> None:
    meet = Barrier(2, timeout=30)

    def make_ready(job: int, _folder: Path) -> int:
        if job < 2:
            meet.wait()  # Only two at a time get past this.
        return job * 10

    assert [(job, ready()) for job, ready in abreast(range(9), make_ready, size=light)] == [
        (job, job * 10) for job in range(9)
    ]


def test_one_that_fails_fails_in_its_turn_and_keeps_no_other_back() -> None:
    def make_ready(job: int, _folder: Path) -> int:
        if job == 1:
            raise ValueError(job)
        return job

    def outcome(ready: Callable[[], int]) -> int | str:
        try:
            return ready()
        except ValueError as error:
            return f"failed {error}"

    found = [outcome(ready) for _, ready in abreast(range(4), make_ready, size=light)]
    assert found == [0, "failed 1", 2, 3]


def test_a_large_one_is_alone() -> None:
    sizes = [1, 2, module._ROOM + 1, 3, module._ROOM, 4]
    lock, held, most = Lock(), 0, 0

    def make_ready(size: int, _folder: Path) -> int:
        nonlocal held, most
        with lock:
            held += size
            most = max(most, held)
        return size

    for size, ready in abreast(sizes, make_ready, size=lambda one: one):
        ready()
        with lock:
            held -= size
    assert most == module._ROOM + 1


def test_each_has_a_folder_of_its_own_until_the_next_one_is_asked_for() -> None:
    def make_ready(job: int, folder: Path) -> Path:
        (folder / "package").write_text(str(job))
        return folder / "package"

    seen: list[Path] = []
    for job, ready in abreast(range(5), make_ready, size=light):
        assert ready().read_text() == str(job)
        assert not any(one.exists() for one in seen)
        seen.append(ready())
    assert len(set(seen)) == 5
    assert not any(one.parent.parent.exists() for one in seen), "nothing stays behind"


def test_whoever_stops_early_leaves_nothing_begun_and_nothing_behind() -> None:
    begun: list[int] = []
    folders: list[Path] = []

    def make_ready(job: int, folder: Path) -> int:
        begun.append(job)
        folders.append(folder)
        return job

    def first() -> Iterator[int]:
        for _, ready in abreast(range(1000), make_ready, size=light):
            yield ready()

    assert list(islice(first(), 1)) == [0]
    with pytest.raises(KeyError):
        for _ in abreast(range(1000), make_ready, size=light):
            raise KeyError
    assert len(begun) < 20
    assert not any(folder.exists() for folder in folders)
