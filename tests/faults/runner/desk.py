"""A desk whose commands lack one protection (`tests/faults/runner/twins.py`), so that the checker can be seen to fail."""

from __future__ import annotations

import os

from tests.faults.runner.twins import TWINS

#: Names the protection in the environment of the desk's commands.
TWIN = "HOSO_FAULTS_TWIN"


def main() -> None:
    """Take it away, and become the command that was typed."""
    TWINS[os.environ[TWIN]]()
    from flows.cli import main as command

    command()


if __name__ == "__main__":
    main()
