"""F15: the disk of the object store is full for a while: a small file system of its own, filled by a file."""

from __future__ import annotations

import errno
import os

from tests.faults.runner.injectors import Fault, Scene


def inject(scene: Scene) -> str:
    """Fill it to the last byte, let people work on, and make room again."""
    data = scene.site.root / "store" / "data"
    if not os.path.ismount(data):
        scene.site.journal.tell("not-run", what="disk-full", why="only root can mount a small file system")
        return ""
    filler = data / "filler"
    try:
        number = os.open(filler, os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(number, b"\0" * 65536)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(number)
        scene.site.wait_for(lambda: False, scene.random.uniform(6, 10))
    finally:
        filler.unlink(missing_ok=True)
    return "no byte was free"


FAULTS = [Fault(row="F15", name="store-disk-full", inject=inject)]
