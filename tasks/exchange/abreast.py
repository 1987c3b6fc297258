"""Packages are made ready side by side and dealt with one after the other, in the order in which they came."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import TypeVar

Job = TypeVar("Job")
Ready = TypeVar("Ready")

#: How many packages are made ready at a time. Most of that is waiting: for the store, the token, the reader of PDFs.
_HANDS = 2
#: How many bytes may be on the way at a time; a package that is larger than that is alone.
_ROOM = 16_000_000


def abreast(
    jobs: Sequence[Job], make_ready: Callable[[Job, Path], Ready], *, size: Callable[[Job], int]
) -> Iterator[tuple[Job, Callable[[], Ready]]]:
    """
    Yield each job in its order, with a function that returns what `make_ready` returned for it, or raises that.

    While the caller deals with one, the next ones are made ready in threads, each in a folder of its own that is
    there until the caller asks for the next job. `size` says how many bytes a job lays into memory or into its
    folder. A caller that stops early waits for what has begun; the rest never begins.
    """
    with tempfile.TemporaryDirectory(prefix="hoso-exchange-") as name, ThreadPoolExecutor(_HANDS) as pool:
        begun: deque[tuple[Job, Path, Future[Ready]]] = deque()

        def deal() -> Iterator[tuple[Job, Callable[[], Ready]]]:
            job, folder, future = begun.popleft()
            yield job, future.result
            shutil.rmtree(folder)

        try:
            for number, job in enumerate(jobs):
                while len(begun) > _HANDS or (
                    begun and sum(size(one) for one, _, _ in begun) + size(job) > _ROOM
                ):
                    yield from deal()
                folder = Path(name) / str(number)
                folder.mkdir()
                begun.append((job, folder, pool.submit(copy_context().run, make_ready, job, folder)))
            while begun:
                yield from deal()
        finally:
            pool.shutdown(cancel_futures=True)
