"""The proxy of a production installation, run for real before a Prefect server: nginx with the shipped rules."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.deploy.proxy.reading import FOLDER

#: Who may log in, and with what: one who may only read, and one who may do everything.
READER, ENGINEER = ("thu", "đọc-thôi-4711"), ("an", "làm-hết-0815")


def program() -> str | None:
    """Return nginx, or `None` where there is none."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@dataclass(frozen=True, kw_only=True)
class Door:
    """A running proxy."""

    address: str
    plain: str

    def ask(self, method: str, path: str, *, by: tuple[str, str] | None, **more: Any) -> httpx.Response:
        """Send a request exactly as it is written."""
        url = httpx.URL(self.address).copy_with(raw_path=path.encode())
        login = httpx.BasicAuth(*(part.encode() for part in by)) if by else None
        return httpx.request(method, url, auth=login, verify=False, timeout=30, **more)  # noqa: S501


@contextmanager
def door(folder: Path, upstream: str) -> Iterator[Door]:
    """Run nginx with the shipped files before a server (`host:port`); only addresses and places are changed."""
    found = program()
    assert found is not None
    tls, plain = _free(), _free()
    shutil.copy(FOLDER / "reading.conf", folder)
    (folder / "engineers").write_text(f"{ENGINEER[0]} 1;\n")
    (folder / "prefect_logins").write_text(
        "".join(f"{name}:{_hashed(word)}\n" for name, word in (READER, ENGINEER))
    )
    _certificate(folder)
    shipped = (FOLDER / "nginx.conf").read_text(encoding="utf-8")
    for said, here in (
        (" /tmp/", f" {folder}/"),  # before there are others
        ("listen 8443 ", f"listen 127.0.0.1:{tls} "),
        ("listen 8080;", f"listen 127.0.0.1:{plain};"),
        ("prefect-server:4200", upstream),
        ("/etc/hoso/proxy/", f"{folder}/"),
        ("/run/secrets/", f"{folder}/"),
        ("/dev/stdout", str(folder / "access.log")),
    ):
        assert said in shipped, said
        shipped = shipped.replace(said, here)
    # Without root it is the same: nginx then says that it ignores the line.
    conf = folder / "nginx.conf"
    conf.write_text(("user root;\n" if os.getuid() == 0 else "") + shipped, encoding="utf-8")
    checked = subprocess.run([found, "-t", "-c", str(conf)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    running = subprocess.Popen([found, "-c", str(conf), "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        made = Door(address=f"https://127.0.0.1:{tls}", plain=f"http://127.0.0.1:{plain}")
        _wait(tls, running)
        yield made
    finally:
        running.terminate()
        running.wait(20)


def _hashed(word: str) -> str:
    """Return what the documentation says to write for a password."""
    made = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=word + "\n", capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


def _certificate(folder: Path) -> None:
    """Make a certificate for this machine that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2)).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "proxy_certificate").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "proxy_key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _free() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait(port: int, running: subprocess.Popen[bytes]) -> None:
    """Wait until it listens."""
    for _ in range(200):
        assert running.poll() is None, f"nginx ended with {running.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("nginx does not listen")
