"""
The last community MinIO, built as its README recommends, for the tests that must pass on it.

`python -m infra.stack.minio_from_source [--life TEST]` builds the server with `go install` (once; some five
minutes and 2 GB of Go's caches), starts it on a free loopback port with random credentials, makes the
buckets, and runs the object store's contract suite and, with `--life`, more test files; those find it in the
`HOSO_S3_…` settings. It exits with the tests' status, or prints `not run: …` and exits 77 where MinIO cannot
be built.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import urllib3
from minio import Minio

from infra.environment import environment
from infra.errors import Broken
from infra.stack.seaweed import ARCHIVE_BUCKET, WORK_BUCKET, make_buckets

#: The newest version of the module: the community edition's last state. It is published as source only.
MODULE = "github.com/minio/minio"
VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"

#: What a test runner understands as "not run".
NOT_RUN = 77

CONTRACT = ("tests/contracts/test_object_store.py", "tests/contracts/test_object_store_faults.py")

_USER = "hoso"
_START_PATIENCE = 60.0
_STOP_PATIENCE = 20.0


class NotRun(Exception):
    """MinIO cannot be built here; the message says why."""


def build(tools: Path) -> Path:
    """
    Return the server's program below `tools`, building it if it is not there.

    Raises `NotRun` without Go, with a Go that is too old, or when the sources cannot be fetched. An
    interrupted build leaves no program behind, and the next one goes on from Go's caches.
    """
    folder = (tools / f"minio-{VERSION}").absolute()
    program = folder / "minio"
    if program.exists():
        return program
    go = shutil.which("go")
    if go is None:
        raise NotRun("Go is not on this machine")
    print(f"building MinIO {VERSION} with {go}; the first time takes some minutes", flush=True)
    started = time.monotonic()
    # Go's own toolchain must do: fetching another is a download that nobody asked for.
    settings = environment({"GOBIN": str(folder), "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"})
    outcome = subprocess.run(
        [go, "install", f"{MODULE}@{VERSION}"],
        env=settings,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if outcome.returncode != 0 or not program.exists():
        words = outcome.stderr.strip().splitlines()
        raise NotRun(f"MinIO could not be built: {words[-1] if words else 'go said nothing'}")
    print(f"built in {time.monotonic() - started:.0f} s: {program}", flush=True)
    return program


@contextmanager
def running(program: Path, folder: Path) -> Iterator[dict[str, str]]:
    """
    Run the server with its data in `folder`; yield the `HOSO_S3_…` settings that lead to it, buckets made.

    The server ends with the block; its log is `minio.log` in the folder. Raises `Broken` when it will not
    start.
    """
    secret_file = folder / "secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    address = f"127.0.0.1:{_free_port()}"
    with (folder / "minio.log").open("wb") as log:
        server = subprocess.Popen(
            [str(program), "server", str(folder / "data"), "--address", address],
            env=environment(
                {
                    "MINIO_ROOT_USER": _USER,
                    "MINIO_ROOT_PASSWORD": secret_file.read_text(encoding="utf-8"),
                    # No console, no news from outside: one door, and it is S3.
                    "MINIO_BROWSER": "off",
                    "MINIO_UPDATE": "off",
                    "HOME": str(folder),
                }
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_ready(server, address)
        secret = secret_file.read_text(encoding="utf-8")
        make_buckets(Minio(address, _USER, secret, secure=False, region="us-east-1"))
        yield {
            "HOSO_S3_ENDPOINT": address,
            "HOSO_S3_SECURE": "false",
            "HOSO_S3_ACCESS_KEY": _USER,
            "HOSO_S3_SECRET_KEY_FILE": str(secret_file),
            "HOSO_S3_WORK_BUCKET": WORK_BUCKET,
            "HOSO_S3_ARCHIVE_BUCKET": ARCHIVE_BUCKET,
            "HOSO_S3_STRANGER_DOORS": "",
        }
    finally:
        server.terminate()
        try:
            server.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def run_tests(settings: dict[str, str], folder: Path, files: Sequence[str]) -> int:
    """Run test files against the server that the settings lead to; return pytest's status."""
    described = folder / "store.env"
    described.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *files],
        env=environment({**settings, "HOSO_TEST_STORE": str(described)}),
        check=False,
    ).returncode


def _free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(server: subprocess.Popen[bytes], address: str) -> None:
    """Wait until the server says that it can serve; raises `Broken` when it ends, or stays silent."""
    http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(2.0))
    deadline = time.monotonic() + _START_PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Broken(f"MinIO ended with status {server.returncode} while it started")
        try:
            if http.request("GET", f"http://{address}/minio/health/ready").status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    raise Broken(f"MinIO was not ready within {_START_PATIENCE:.0f} s")


def main() -> int:
    """Build, start, test, stop; return the exit status."""
    parser = argparse.ArgumentParser(description="Run the object store's tests on MinIO.")
    parser.add_argument("--tools", type=Path, default=Path("var/tools"), help="where the program is kept")
    parser.add_argument("--life", action="append", default=[], metavar="TEST", help="run this test file too")
    arguments = parser.parse_args()
    # An interruption must reach the `finally` that stops the server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        program = build(arguments.tools)
    except NotRun as reason:
        print(f"not run: {reason}")
        return NOT_RUN
    with (
        tempfile.TemporaryDirectory(prefix="hoso-minio-") as folder,
        running(program, Path(folder)) as settings,
    ):
        return run_tests(settings, Path(folder), [*CONTRACT, *arguments.life])


if __name__ == "__main__":
    sys.exit(main())
