"""A whole office in containers: the image built, compose.yaml started, a command typed in it, all of it gone again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.stack.layout import PROJECT

DEPLOY = PROJECT / "infra" / "deploy"
#: What the images are made from, and what runs beside them.
BASES = (
    "docker.io/library/postgres:18-bookworm",
    "docker.io/library/redis:8-bookworm",
    "docker.io/library/nginx:1.29-bookworm",
    "docker.io/library/golang:1.26-bookworm",
    "docker.io/library/debian:bookworm-slim",
)
IMAGE, STORE_IMAGE = "localhost/hoso:tried", "localhost/hoso-minio:tried"
LOGINS = {"engineer": "turn-the-handle", "reader": "only-looking"}
#: Jobs that end when they have done their part.
JOBS = ("migrated", "prefect-migrated", "store-settled", "deployed")
#: Seconds until everything must run.
PATIENCE = 300.0


class NotRun(Exception):
    """There is no container engine here, or not what the images are made from; the message says what is missing."""


def run(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, check=False, env={**os.environ, **more}
    )


def must(*words: object, **more: str) -> str:
    """Run a program that has to succeed and return what it printed."""
    done = run(*words, **more)
    assert done.returncode == 0, f"{' '.join(map(str, words))}: {done.stdout[-1000:]} {done.stderr[-3000:]}"
    return done.stdout


def engine() -> str:
    """Return the container engine that answers here; raises `NotRun`."""
    if os.getuid() != 0:
        raise NotRun("only root can give the secrets to the user of the containers")
    for name in ("docker", "podman"):
        if shutil.which(name) and run(name, "info").returncode == 0:
            return name
    raise NotRun("no container engine answers here")


def fetch(name: str) -> None:
    """See that the images are here that ours are made from; raises `NotRun` for one that is not to be had."""
    for image in BASES:
        if run(name, "image", "inspect", image).returncode and run(name, "pull", "-q", image).returncode:
            raise NotRun(f"the image {image} is not to be had")


def build(name: str) -> None:
    """Build our image and the store's from the files of `infra/deploy`."""
    must(name, "build", "-f", DEPLOY / "Containerfile", "--build-arg", "RELEASE=tried", "-t", IMAGE, PROJECT)
    must(name, "build", "-f", DEPLOY / "minio.Containerfile", "-t", STORE_IMAGE, PROJECT)


@dataclass(frozen=True, kw_only=True)
class Office:
    """A running compose.yaml."""

    engine: str
    compose: Path
    settings: Mapping[str, str]

    def do(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Ask Docker Compose for something."""
        return run(self.compose, "-f", DEPLOY / "compose.yaml", *words, **self.settings)

    def within(self, service: str, *words: object) -> str:
        """Run something in a running container and return what it printed."""
        done = self.do("exec", "-T", service, *words)
        assert done.returncode == 0, f"{words}: {done.stdout[-500:]} {done.stderr[-2000:]}"
        return done.stdout

    def once(self, service: str, *words: object) -> str:
        """Run something in a container of its own, with what a service is given, and return what it printed."""
        done = self.do("run", "--rm", "--no-deps", "-T", service, *words)
        assert done.returncode == 0, f"{words}: {done.stdout[-500:]} {done.stderr[-2000:]}"
        return done.stdout

    def states(self) -> dict[str, tuple[str, int]]:
        """Return each container's state, and its exit code, by the name of its service."""
        said = self.do("ps", "-a", "--format", "json").stdout
        rows: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return {row["Service"]: (row["State"], int(row["ExitCode"])) for row in rows}


@contextmanager
def office(name: str, compose: Path, folder: Path) -> Iterator[Office]:
    """Start everything with secrets and ports of its own, wait until the jobs have ended, and take it down again."""
    secrets = folder / "secrets"
    run(DEPLOY / "make_secrets.sh", secrets)
    _what_people_bring(secrets)
    (folder / "trust" / "anchors").mkdir(parents=True)
    (folder / "engineers").write_text("engineer 1;\n", encoding="utf-8")
    settings = {
        "COMPOSE_PROJECT_NAME": f"hoso-tried-{os.getpid()}",
        "IMAGE": IMAGE,
        "STORE_IMAGE": STORE_IMAGE,
        "PUBLIC_NAME": "localhost",
        "SECRETS": str(secrets),
        "TRUST": str(folder / "trust"),
        "ENGINEERS": str(folder / "engineers"),
        "HTTPS_PORT": str(_free_port()),
        "HTTP_PORT": str(_free_port()),
    }
    with ExitStack() as after:
        if name == "podman":
            settings["DOCKER_HOST"] = after.enter_context(_podman_listens(folder))
            after.enter_context(_health_looked_at(settings["COMPOSE_PROJECT_NAME"]))
        made = Office(engine=name, compose=compose, settings=settings)
        after.callback(made.do, "--profile", "seal", "down", "--volumes", "--timeout", "5")
        started = made.do("up", "-d")
        end = time.monotonic() + PATIENCE
        while any(made.states().get(job) != ("exited", 0) for job in JOBS):
            assert time.monotonic() < end, f"{started.stderr[-3000:]} {made.do('logs').stdout[-5000:]}"
            time.sleep(1)
        yield made


def _what_people_bring(secrets: Path) -> None:
    """Make what nobody else can: a certificate, two logins and a PIN."""
    made = ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    keys = ["-keyout", secrets / "proxy_key", "-out", secrets / "proxy_certificate"]
    must("openssl", "req", "-x509", "-newkey", "rsa:2048", *made, *keys)
    lines = [f"{who}:{must('openssl', 'passwd', '-6', word).strip()}\n" for who, word in LOGINS.items()]
    (secrets / "prefect_logins").write_text("".join(lines), encoding="utf-8")
    (secrets / "seal_pin").write_text("1234", encoding="utf-8")
    for name in ("proxy_key", "proxy_certificate", "prefect_logins", "seal_pin"):
        os.chown(secrets / name, 10001, 10001)
        (secrets / name).chmod(0o440)


def _free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def _podman_listens(folder: Path) -> Iterator[str]:
    """Let Podman answer Docker's requests, and yield where."""
    address = f"unix://{folder}/podman.sock"
    service = subprocess.Popen(["podman", "system", "service", "--time=0", address])
    try:
        while not (folder / "podman.sock").exists():
            assert service.poll() is None
            time.sleep(0.1)
        yield address
    finally:
        service.terminate()
        service.wait()


@contextmanager
def _health_looked_at(project: str) -> Iterator[None]:
    """Look at the containers' health, which Podman leaves to systemd: here there may be none."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(2.0):
            ids = run("podman", "ps", "-q", "--filter", f"label=com.docker.compose.project={project}").stdout
            for one in ids.split():
                run("podman", "healthcheck", "run", one)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
