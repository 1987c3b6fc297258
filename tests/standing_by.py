"""
A process that has Prefect and every flow loaded stands by for programs of the tests (`World.run`).

Loading them takes several seconds of a processor, and a test that kills processes needs one after the other. A
program runs in a process of its own, forked when it is asked for, with the environment and the streams of
whoever asked; it is killed with `kill -9` like any other.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from infra.standby.asking import ask

CODE = Path(__file__).resolve().parent.parent


def serve(loads: str, door: Path) -> None:
    """Stand by behind a door until asked to end; `light` loads no more than every command does."""
    from infra.database import load_driver
    from infra.settings import settings
    from infra.standby.serving import StandBy

    importlib.import_module("flows.cli")
    if loads == "flows":
        from flows.standing_by import LARGE

        for module in ("flows.dossier", "flows.errands", *LARGE):
            importlib.import_module(module)
    load_driver()
    assert not settings.cache_info().currsize, "a setting was read while modules were loaded"
    StandBy(door, code=CODE, takes=lambda words: True, run=_program).serve()


def _program() -> None:
    """Run the program whose text is the first word, with the words after it; Prefect reads the environment of now."""
    if "prefect.context" in sys.modules:
        sys.modules["prefect.context"].refresh_global_settings_context()
    text = sys.argv[1]
    sys.argv = ["-c", *sys.argv[2:]]
    exec(compile(text, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102


def main() -> None:
    """`flows DOOR` and `light DOOR` stand by; `DOOR TEXT WORDS` runs a program in a process that stood by."""
    first, *rest = sys.argv[1:]
    if first in ("flows", "light"):
        return serve(first, Path(rest[0]))
    ended = ask(Path(first), rest, os.environ, CODE)
    if ended is None:
        sys.exit("the process that stands by for the tests' programs did not take one")
    if ended < 0:
        os.kill(os.getpid(), -ended)
    sys.exit(ended)


if __name__ == "__main__":
    main()
