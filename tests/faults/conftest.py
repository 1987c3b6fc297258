"""An office whose keys are on real tokens behind a shim, its doors to database and store, and processes that die."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import make_url

from infra.environment import environment
from infra.token.shim import Shim, compiler
from infra.token.uri import TokenUri
from tests.conftest import SoftHsm
from tests.world import HOSO, PIN, Said, World

#: What a worker does with one dossier, or with several side by side: under its lease, as far as it goes.
CARRY = """
import asyncio, sys
from flows.dossier import carry
from flows.errands import begin
async def one(code):
    errand = await begin(code)
    if errand is None:
        return print(code, "is with somebody else")
    await errand.run(carry)
    print(code, type(errand.error).__name__)
async def main():
    await asyncio.gather(*map(one, sys.argv[1:]))
asyncio.run(main())
"""

#: A command whose store ends the process by SIGKILL: WHEN (before, after) CALL (put_first, put), then the words.
DYING = """
import os, signal, sys
from infra.services import Services, using
from infra.settings import settings
when, call = sys.argv[1:3]
del sys.argv[1:3]
class Dying:
    def __init__(self, store):
        self._store = store
    def __getattr__(self, name):
        work = getattr(self._store, name)
        def last(*words, **named):
            if when == "after":
                work(*words, **named)
            os.kill(os.getpid(), signal.SIGKILL)
        return last if name == call else work
parts = Services(settings())
parts.__dict__["work"] = Dying(parts.work)
from flows.cli import main
with using(parts):
    main()
"""


class Door:
    """The way to a server, which can be shut: what is under way breaks off, and nobody comes in."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_open = True
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self) -> None:
        self.is_open = False
        lines, self._lines = self._lines, []
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.shut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                if not self.is_open:
                    here.close()
                    continue
                there = socket.create_connection(self._target)
                self._lines += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                target.sendall(block)
        for line in (source, target):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


@dataclass(kw_only=True)
class Desk:
    """An office, the shim in front of its tokens, and commands that use them in processes of their own."""

    world: World
    office: str
    shim: Shim
    settings: dict[str, str]
    pin: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def listed(self, originals: int = 1) -> tuple[str, str]:
        """Bring a dossier before the official; return its code and the digest of the list."""
        code = self.world.frozen(self.office, originals)
        words = ("sign", "--list", "--office", self.office, "--only", code, "--json")
        return code, self.world.type(*words, by="ha").json["digest"]

    def approved(self) -> str:
        """Bring a dossier to where the agency's signature is next."""
        code, digest = self.listed()
        done = self.sign(digest)
        assert done.code == 0, done.err
        return code

    def sign(self, digest: str, *more: object, pin: Path | None = None, **settings: str) -> Said:
        """Let the official sign a list."""
        words = ("sign", "--manifest", digest, "--pin-file", pin or self.pin, "--json", *more)
        return self.world.hoso(*words, by="ha", **{**self.settings, **settings})

    def dies(self, when: str, call: str, *words: object, by: str = "ha") -> None:
        """Run a command whose process is killed at a call of the store."""
        said = self.world.run(DYING, when, call, *words, by=by, **self.settings)
        assert said.code == -9, said.err

    def seal(self, code: str) -> Said:
        """Let the machine of the seal sign."""
        return self.world.hoso("seal", code, "1", by=None, **self.settings)

    def carry(self, *codes: str, **settings: str) -> Said:
        """Let a worker take dossiers as far as they go."""
        return self.world.run(CARRY, *codes, by=None, **{**self.settings, **settings})

    def start(
        self, *words: object, by: str | None = "ha", group: bool = False, **settings: str
    ) -> subprocess.Popen[str]:
        """Start a command and leave it to itself; with `group` as a terminal does, in a group of its own."""
        words, desk = self.world.seated(words, by)
        command = [sys.executable, "-m", "flows.command", *map(str, words)]
        return self._start(command, desk, group, settings)

    def work(self, **settings: str) -> subprocess.Popen[str]:
        """Start a warm worker and leave it to itself."""
        return self._start(
            [*self.world.programming(HOSO), "work"], self.world.root / "desks" / "nobody", False, settings
        )

    def _start(
        self, command: list[str], desk: Path, group: bool, settings: dict[str, str]
    ) -> subprocess.Popen[str]:
        env = {name: value for name, value in environment().items() if not name.startswith("HOSO_")}
        env |= {"HOSO_ENV_FILE": str(self.world.root / "hoso.env"), "HOSO_SESSION_FILE": str(desk)}
        one = subprocess.Popen(
            command,
            env={**env, **self.settings, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=group,
        )
        self.started.append(one)
        return one

    def ledger(self, code: str) -> Ledger:
        """Return what the history says of every try of a dossier's signatures."""
        tries: dict[tuple[object, ...], set[str]] = {}
        for entry in self.world.told(code):
            if entry["event"].startswith("signature:") and "try" in entry:
                end = entry["event"].removeprefix("signature:")
                if end == "failed" and not entry["called"]:
                    end = "failed before the token was asked"
                tries.setdefault((entry["original"], entry["field"], entry["try"]), set()).add(end)
        kept = self.world.ask(
            "select count(*) from signature where dossier = :c and kept_at is not null", c=code
        )
        return Ledger(tries=list(tries.values()), kept=kept[0][0])


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The tries of a dossier's signatures with what is said of each, and how many signatures are kept."""

    tries: Sequence[set[str]]
    kept: int

    @property
    def done(self) -> int:
        """How many tries ended with a signature that is kept."""
        return sum("done" in said for said in self.tries)

    @property
    def explained(self) -> int:
        """How many tries may have asked the token and gave nothing that is kept, as an entry says."""
        ends = {"failed", "interrupted", "unused"}
        return sum("done" not in said and bool(said & ends) for said in self.tries)

    @property
    def untold(self) -> int:
        """How many tries nobody has told the end of."""
        return sum(said == {"intended"} for said in self.tries)


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    """An office whose keys lie on SoftHSM2 tokens of its own, behind a shim."""
    if compiler() is None:
        pytest.skip("not run: there is no C compiler to build the shim with")
    (tmp_path / "hsm").mkdir()
    softhsm = SoftHsm(tmp_path / "hsm")
    if not softhsm.module.exists():
        pytest.skip("not run: SoftHSM2 is not installed")
    office = world.office()
    for name, key in (("seal", "seal"), ("official-ha", "official-ha")):
        put_on_token(world, softhsm, office, name, key)
    shim = Shim(folder=tmp_path / "shim", forwards_to=softhsm.module)
    shim.build()
    pin = tmp_path / "pin"
    pin.write_text(f"{PIN}\n")
    made = Desk(
        world=world,
        office=office,
        shim=shim,
        pin=pin,
        settings={
            **shim.environment,
            "HOSO_PKCS11_MODULE": str(shim.module),
            "HOSO_SOFTHSM2_CONF": str(softhsm.conf),
            "HOSO_SEAL_PIN_FILE": str(pin),
            "HOSO_TRUST_ANCHORS": str(trust(world, tmp_path)),
            "PREFECT_HOME": str(world.root / "prefect-client"),
        },
    )
    yield made
    for one in made.started:
        if one.poll() is None:
            one.kill()
        one.communicate()


def put_on_token(world: World, softhsm: SoftHsm, office: str, name: str, key: str) -> None:
    """Put a key of the tests' where the office's certificate says that it is."""
    uri = world.ask("select token_uri from certificate where office = :o and key = :k", o=office, k=name)[0][
        0
    ]
    named = TokenUri.parse(uri)
    assert named.token is not None
    assert named.id is not None
    softhsm.make_token(named.token)
    file = softhsm.folder / f"{key}.der"
    file.write_bytes(world.keys[key].private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    tool = ("pkcs11-tool", "--module", str(softhsm.module), "--token-label", named.token)
    login = ("--login", "--pin", PIN)
    softhsm._run(
        *tool,
        *login,
        "--write-object",
        str(file),
        "--type",
        "privkey",
        "--id",
        named.id.hex(),
        "--usage-sign",
    )
    file.unlink()


def trust(world: World, folder: Path) -> Path:
    """Write the certificates of the tests' authority as an installation has them; return the anchors' folder."""
    parts: dict[str, Sequence[bytes]] = {"anchors": world.parts.anchors, "chain": world.parts.chain}
    for name, certificates in parts.items():
        (folder / name).mkdir()
        for number, der in enumerate(certificates):
            pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
            (folder / name / f"{number}.pem").write_bytes(pem)
    return folder / "anchors"


@pytest.fixture
def database_door(world: World) -> Iterator[Door]:
    """A way to the database that can be shut."""
    url = make_url(world.settings.database_url)
    door = Door(url.host or "127.0.0.1", url.port or 5432)
    yield door
    door.close()


@pytest.fixture
def store_door(world: World) -> Iterator[Door]:
    """A way to the store that can be shut."""
    host, _, port = world.settings.s3_endpoint.partition(":")
    door = Door(host, int(port))
    yield door
    door.close()


def wait_for(what: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)
