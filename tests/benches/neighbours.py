"""
What everybody else waits while somebody brings hostile files to the counter: `python -m tests.benches.neighbours`.

The same acts as those of `hoso bench-latency` are measured twice on the running stack: alone, and while another desk
brings files, one after the other, that unpack to ten gigabytes, count a hundred thousand pages, lie about their tables,
run in circles or are a byte too large (fault F19). It ends with 1 when one of them is not refused, or when what
everybody else waits is over the limit that holds without them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.desks import Desks
from flows.latency import Act, book, do_acts, open_office, percentile
from infra.environment import environment
from infra.services import services
from tests.faults.runner.injectors.sizes import hostile

#: Seconds that one act in twenty may take longer than until what follows from it is seen.
LIMIT = 2.0
#: How a command ends that a rule refused.
_REFUSED = 1
#: Dossiers of the second measurement, and the one that the files are brought to, have numbers of their own.
_BESIDE, _THEIRS = 500, 900


@contextmanager
def hostile_desk() -> Iterator[list[int]]:
    """Keep a desk busy with hostile files, and yield how the command ended for each that was brought so far."""
    ends: list[int] = []
    over = threading.Event()
    _, code = book(_THEIRS)
    settings = Desks(services().settings.var_dir / "desks").settings("mai")

    def bring(folder: Path) -> None:
        """Bring the files, again and again."""
        while not over.is_set():
            for file in hostile(folder, services().settings.upload_limit_bytes):
                words = ["receive", code, "--paid", "BL-1", "--original", "Giấy", str(file)]
                command = [sys.executable, "-m", "flows.command", *words]
                brought = subprocess.run(command, capture_output=True, env=environment(settings), check=False)
                ends.append(brought.returncode)
                file.unlink()
                if over.is_set():
                    break

    with tempfile.TemporaryDirectory(prefix="hoso-hostile-") as folder:
        desk = threading.Thread(target=bring, args=(Path(folder),))
        desk.start()
        try:
            yield ends
        finally:
            over.set()
            desk.join()


def tell(name: str, acts: Sequence[Act]) -> float:
    """Print what acts waited, and return what one in twenty waited longer than."""
    follows, command = [act.follows for act in acts], [act.command for act in acts]
    slow = percentile(follows, 0.95)
    print(
        f"{name:8} {len(acts)} acts: what follows p50 {percentile(follows, 0.5):.2f} s, p95 {slow:.2f} s;"
        f" a command p50 {percentile(command, 0.5):.2f} s, p95 {percentile(command, 0.95):.2f} s",
        flush=True,
    )
    return slow


def main() -> int:
    """Measure both, and say whether hostile files stand in anybody's way."""
    parser = argparse.ArgumentParser(description="What everybody else waits beside hostile files.")
    parser.add_argument("--acts", type=int, default=50)
    acts: int = parser.parse_args().acts
    open_office()
    alone = tell("alone", do_acts(acts))
    with hostile_desk() as ends:
        beside = tell("beside", do_acts(acts, first=_BESIDE))
    refused = ends.count(_REFUSED)
    print(f"{refused} of {len(ends)} hostile files refused; p95 {beside / alone:.2f} times that without them")
    return 0 if ends and refused == len(ends) and beside <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
