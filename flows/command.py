"""
Where the command `hoso` begins: it asks the process that stands by to be the command, or is it itself.

Imports nothing large before the answer is known. `HOSO_STANDBY=no` does not ask.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from infra.environment import environment, settings_file
from infra.errors import Broken
from infra.standby.asking import ask, door_of

#: The folder of this code; a process that stands by with another one is not asked.
CODE = Path(__file__).resolve().parent.parent


def main() -> None:
    """Carry out the words of the command line; ends with the command's exit code."""
    around = environment()
    if around.get("HOSO_STANDBY") != "no":
        try:
            code = ask(door_of(settings_file()), sys.argv[1:], around, CODE)
        except Broken as error:
            print(f"Broken: {error}", file=sys.stderr)
            sys.exit(5)
        if code is not None:
            end(code)
    from flows.cli import main as command  # noqa: PLC0415  Only now is it known that it is needed.

    command()


def end(code: int) -> None:
    """End as the command ended: with its exit code, or by the same signal."""
    if code < 0:
        with suppress(OSError):  # SIGKILL takes no handler, so there is none to take away.
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
