"""
Where a run of a pool begins (`python -m flows.pool_run`): it asks the process that stands by for runs, or is it itself.

Imports nothing large before the answer is known. `HOSO_STANDBY=no` does not ask. Which run it is, Prefect's
worker says in the environment. With words it is that command, for those that need what runs need.
"""

from __future__ import annotations

import runpy
import sys

from flows.command import CODE, end
from infra.environment import environment, settings_file
from infra.errors import Broken
from infra.standby.asking import ask, door_of

#: Which of the processes that stand by is asked.
RUNS = "runs"


def main() -> None:
    """Carry out the run that the environment names; ends with its exit code."""
    around = environment()
    if around.get("HOSO_STANDBY") != "no":
        try:
            code = ask(door_of(settings_file(), RUNS), sys.argv[1:], around, CODE)
        except Broken as error:
            print(f"Broken: {error}", file=sys.stderr)
            sys.exit(5)
        if code is not None:
            end(code)
    if sys.argv[1:]:
        from flows.cli import main as command  # noqa: PLC0415  Only now is it known that it is needed.

        command()
        return
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
