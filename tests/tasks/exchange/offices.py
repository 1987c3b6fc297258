"""Two offices that exchange documents: each with a database, a store and keys of its own, and one axis between them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import make_url

from infra.axis.http import HttpAxis
from infra.clock import HANOI
from infra.database import Database, DatabaseClock, connection_url
from infra.object_store.memory import MemoryStore
from infra.pdf.signing import sign_field
from infra.schema import migrate
from infra.services import using
from infra.stack.layout import PROJECT, Place
from infra.stack.postgres import administrator
from infra.stack.scripted import script_faults
from tests.world import Parts, Said, World


@dataclass(kw_only=True)
class AxisServer:
    """The axis of the tests: a process that can be ended and started again on its port."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        token = self.folder / "token"
        token.write_text("axis of the tests\n")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra.stack.axis_stand_in", "--port", str(self.port),
             "--folder", str(self.folder), "--token-file", str(token)],
            stdout=subprocess.PIPE, text=True, cwd=PROJECT,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def lets_in(self, token_file: Path, *organs: str) -> None:
        """Let a system speak for some agencies only."""
        digest = hashlib.sha256(token_file.read_text().strip().encode()).hexdigest()
        with (self.folder / "systems").open("a") as file:
            file.write(f"{digest} {' '.join(organs)}\n")

    def will(self, *faults: str) -> None:
        script_faults(self.folder, *faults)

    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(p.read_text()) for p in sorted((self.folder / "packages").glob("*.json"))]


@dataclass(kw_only=True)
class Office:
    """One office of the two, and the world that it lives in."""

    world: World
    code: str
    parts: Parts = field(init=False)

    def __post_init__(self) -> None:
        self.parts = self.world.parts

    def type(self, *words: object, by: str = "mai", expect: int = 0) -> Said:
        with using(self.parts), self.world.as_(self.code, by):
            done = self.world.type("exchange", *words)
        assert done.code == expect, f"{words}: {done.out}{done.err}"
        return done

    def json(self, *words: object, by: str = "mai") -> Any:
        return self.type(*words, "--json", by=by).json

    def post(self) -> None:
        self.type("post")

    def show(self, code: str) -> Any:
        return self.json("show", code)

    def events(self, code: str) -> list[str]:
        with using(self.parts):
            return self.world.events(code)

    def inbox(self, *more: str) -> list[Any]:
        return self.json("inbox", self.code, *more)

    def chain(self, code: str) -> list[str]:
        return [one["code"] for one in self.show(code)["statuses"]]

    def certificate(self) -> str:
        with using(self.parts):
            return str(
                self.world.ask(
                    "select sha256 from certificate where office = :o and holder = ''", o=self.code
                )[0][0]
            )

    def again(self) -> None:
        """Let what was put off be due."""
        with using(self.parts):
            self.world.put("update exchange_message set next_try_at = clock_timestamp(), lease_until = null")

    def signed(self, form: bytes) -> bytes:
        """Return a one-page PDF that the office's chairman has signed."""
        with using(self.parts):
            signer = self.world.signer(self.code, "lam")
            return sign_field(
                form, field="official", token=signer.token, image=signer.image,
                at=self.parts.clock.now().astimezone(HANOI), certify=False, name=None, location=None, reason=None,
                chain=self.parts.chain,
            )  # fmt: skip

    def letter(
        self, to: str, folder: Path, pdf: bytes, *, expect: int = 0, number: str = "", **more: Any
    ) -> Said:
        """Send a letter."""
        number = number or str(next(_NUMBERS))
        folder.joinpath("cong-van.pdf").write_bytes(pdf)
        said = {"to": [to], "number": number, "notation": "UBND-VP", "date": "2026-11-20",
                "subject": "Về việc phối hợp giải quyết hồ sơ", **more}  # fmt: skip
        folder.joinpath("letter.yaml").write_text(json.dumps(said, default=str, ensure_ascii=False))
        return self.type(
            "send", self.code, "--letter", folder / "letter.yaml", "--file", folder / "cong-van.pdf", "--json",
            expect=expect,
        )  # fmt: skip


_NUMBERS = count(1)
#: Codes of offices that lie in another database than the world's; desks are told apart by code alone.
_NEIGHBOURS = count(100_000)


@dataclass(kw_only=True)
class Two:
    """Both offices and the axis."""

    a: Office
    b: Office
    axis: AxisServer

    def post(self, rounds: int = 2) -> None:
        """Let both send and fetch until everything has come."""
        for _ in range(rounds):
            self.a.post()
            self.b.post()


@contextmanager
def two_offices(world: World, folder: Path) -> Iterator[Two]:
    """Give the world's office a neighbour with a database of its own, and put an axis between them."""
    axis = AxisServer(folder=folder / "axis")
    axis.start()
    other = _neighbour(world, folder)
    world.put("update exchange_message set state = 'cancelled' where state = 'queued'")  # left by other tests
    try:
        both = []
        for name, where in (("a", world), ("b", other)):
            token = folder / f"token-{name}"
            token.write_text(f"system {name}\n")
            parts = Parts(
                where.settings.model_copy(update={"axis_url": axis.url, "axis_patience": "1,1,1,1"}),
                where.devices,
            )
            parts.__dict__.update(
                {
                    **where.parts.__dict__,
                    "axis": HttpAxis(axis.url, token_file=token),
                    "settings": parts.settings,
                }
            )
            with using(where.parts):
                code = where.office()
            axis.lets_in(token, code)
            both.append(Office(world=replace(where, parts=parts), code=code))
        a, b = both
        names = folder / "directory.csv"
        lines = ["Mã định danh,Tên cơ quan,Mã cũ,Chứng thư số"]
        lines += [f"{one.code},Ủy ban nhân dân xã {one.code},,{one.certificate()}" for one in both]
        names.write_text("\n".join(lines))
        for one in both:
            one.type("organisations", "--import", names, by="an")
        yield Two(a=a, b=b, axis=axis)
    finally:
        axis.stop()
        other.parts.database.close()


def _neighbour(world: World, folder: Path) -> World:
    """Return a world with a database of its own on the same server, and a store in memory."""
    name = f"neighbour_{folder.name.replace('-', '_')}"
    with administrator(Place(world.root), "postgres") as connection:
        connection.autocommit = True
        connection.execute(f"create database {name}")
    changed = {
        key: make_url(getattr(world.settings, key)).set(database=name).render_as_string(hide_password=False)
        for key in ("database_url", "database_admin_url")
    }
    settings = world.settings.model_copy(update=changed)
    migrate(settings)
    devices: dict[str, Any] = {}
    parts = Parts(settings, devices)
    database = Database(connection_url(settings.database_url, settings.database_password_file))
    own = {"settings": settings, "devices": devices, "database": database, "clock": DatabaseClock(database)}
    parts.__dict__.update({**world.parts.__dict__, **own, "work": MemoryStore()})
    found = World(
        root=world.root, settings=settings, authority=world.authority, parts=parts, devices=devices,
        keys=world.keys, scan=world.scan, _codes=_NEIGHBOURS,
    )  # fmt: skip
    with using(parts):
        assert found.type("procedure", "load").code == 0
    return found


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code > 0
    except httpx.HTTPError:
        return False
