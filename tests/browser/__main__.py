"""
Run the tests in a browser: `python -m tests.browser`, with pytest's own options.

Where Debian's package can be installed it is; where it cannot, the tests are said to be not run, with status 77.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.browser.chromium import program
from tests.browser.door import program as proxy

#: What a test runner understands as “not run”.
NOT_RUN = 77

_INSTALL = ("apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", "install")


def wanted(name: str, there: bool) -> bool:
    """Install a Debian package if something is not there; return whether an attempt was made."""
    if there or os.getuid() != 0 or shutil.which("apt-get") is None:
        return False
    print(f"installing the Debian package {name}", flush=True)
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "stdout": subprocess.DEVNULL}
    subprocess.run(["apt-get", "-q", "update"], check=False, **quiet)  # type: ignore[call-overload]
    subprocess.run([*_INSTALL, name], check=False, **quiet)  # type: ignore[call-overload]
    return True


def main() -> int:
    """Return pytest's status, or that of tests that could not be run."""
    wanted("chromium", program() is not None)
    wanted("nginx-light", proxy() is not None)
    if program() is None:
        print("not run: there is no Chromium on this machine; on Debian, apt-get install chromium")
        return NOT_RUN
    tests = str(Path(__file__).parent)
    return subprocess.run([sys.executable, "-m", "pytest", tests, *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
