"""
How fast the archive is read again: `make bench-fixity`, on a database and an object store of its own.

Packages have the files of a dossier of one one-page copy, by number and size, with random bytes; beside them, objects
as large as a long scan. Reader, store and database share this machine. The last line is for programs.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from infra.database import now
from infra.object_store import Stored
from infra.services import services
from tasks.archival.fixity_tables import FixityRunRow
from tasks.archival.rereading import read_objects
from tasks.archival.rules import Expected

#: Bytes of the objects of one package: documents and scan first, then what is written around them.
_PACKAGE = (345_000, 228_000, 166_663, 56_053, 20_841, 18_073, 8_333, 4_711, 4_512, 4_512, 3_873, 1_453, 663, 144, 144, 16)  # fmt: skip
_LARGE = (1_500_000,)
#: What is asked of it, in megabytes a second.
ENOUGH = 50.0
_TURNS = 3


def main() -> int:
    """Fill an archive, read it a few times; exit 0 when the packages are read as fast as asked."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--packages", type=int, default=150)
    parser.add_argument("--large", type=int, default=100)
    chosen = parser.parse_args()
    speeds = []
    for name, count, sizes in (("packages", chosen.packages, _PACKAGE), ("large", chosen.large, _LARGE)):
        objects = _fill(name, count, sizes)
        speeds.append(max(_read(name, objects) for _ in range(_TURNS)))
    print(f"fixity {speeds[0]:.0f} MB/s of packages, {speeds[1]:.0f} MB/s of large objects")
    return 0 if min(speeds) >= ENOUGH else 1


def _fill(name: str, count: int, sizes: Sequence[int]) -> list[Expected]:
    """Lock objects into the archive and return them as they are to be found again."""
    until = services().clock.now() + timedelta(hours=2)
    run = os.urandom(4).hex()

    def put(number: int) -> list[Stored]:
        chance = random.Random(number)
        return [
            services().archive.put_locked(
                f"archive/{run}/{name}/{number:05}/{place}",
                chance.randbytes(size),
                content_type="application/octet-stream",
                retain_until=until,
            )
            for place, size in enumerate(sizes)
        ]

    with ThreadPoolExecutor(4) as pool:
        stored = [one for objects in pool.map(put, range(count)) for one in objects]
    return [
        Expected(
            key=one.key,
            version=one.version_id,
            sha256=one.sha256,
            size=one.size,
            mode="COMPLIANCE",
            retain_until=one.retain_until or until,
            held=False,
            dossier=None,
        )
        for one in stored
    ]


def _read(name: str, objects: Sequence[Expected]) -> float:
    """Read objects once as a night does, say how fast, and return the megabytes a second."""
    with services().database.transaction() as session:
        run = FixityRunRow(begun_at=now(session))
        session.add(run)
        session.flush()
        number = run.id or 0
    began, used = time.monotonic(), _processor()
    findings, size = read_objects(number, objects)
    seconds, used = time.monotonic() - began, _processor() - used
    assert not findings, findings
    print(
        f"{name}: {len(objects)} objects, {size / 1e6:.0f} MB in {seconds:.2f} s: {size / 1e6 / seconds:.0f} MB/s, "
        f"{len(objects) / seconds:.0f} objects/s, {used / len(objects) * 1000:.2f} ms of our processor each",
        flush=True,
    )
    return size / 1e6 / seconds


def _processor() -> float:
    """Return the processor seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
