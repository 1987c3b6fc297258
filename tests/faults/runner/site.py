"""The office that all this happens to: its servers, what stands between them and it, its desks and its workers."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from infra.settings import Settings
from infra.stack.layout import PROJECT, Place
from infra.stack.postgres import administrator
from infra.stack.process import clean_environment
from infra.stack.run import down, up
from infra.stack.softhsm import MODULE
from infra.token.shim import Shim
from tests.faults.runner.desk import TWIN
from tests.faults.runner.journal import Journal
from tests.faults.runner.proxy import HttpDoor

#: Why the engineer of these tests does things by hand.
REASON = Path(__file__).resolve().parents[2] / "vectors" / "reason.txt"

OFFICE = "H49.21"
SERVERS = ("database", "backup", "store", "pki", "token", "mail", "portal", "prefect", "standby")
SAMPLE = PROJECT / "infra" / "stack" / "sample_office"

#: The size of the store's own file system, where one can be made.
_STORE_MB = 1500

#: The answer of a command for what time cures, and for what a rule or a bug says (`hoso --help`).
REFUSED, NOT_NOW = 1, 4


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(kw_only=True)
class Site:
    """One running office; everything of it lies below `root`."""

    root: Path
    seed: int
    journal: Journal
    settings: Settings
    store: HttpDoor
    shim: Shim
    #: The protection that every desk's commands lack, if any.
    desk_twin: str = ""
    #: Set while a fault stops everybody, so that those who only wait do not lose patience.
    healing: threading.Lock = field(default_factory=threading.Lock)

    @property
    def place(self) -> Place:
        """Where the stack keeps its things."""
        return Place(self.root)

    @property
    def folder(self) -> Path:
        """Where the runner keeps its own."""
        return self.root / "faults"

    def random(self, *what: object) -> random.Random:
        """Return a source of chance for one thing, which gives the same for the same seed."""
        return random.Random(f"{self.seed}/{'/'.join(map(str, what))}")

    # Commands -------------------------------------------------------------------------------------

    def environment(self, **more: str) -> dict[str, str]:
        """Return what a process of this office finds in its environment."""
        return {
            "HOSO_ENV_FILE": str(self.place.settings_file),
            "PREFECT_HOME": str(self.root / "prefect-client"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(PROJECT),
            **self.shim.environment,
            **more,
        }

    def start(self, *words: object, by: str, **settings: str) -> subprocess.Popen[str]:
        """Start a command at somebody's desk and leave it to itself."""
        desk = {"HOSO_SESSION_FILE": str(self.folder / "desks" / f"{by}.session")}
        program = "flows.command"
        if self.desk_twin:
            program, desk[TWIN] = "tests.faults.runner.desk", self.desk_twin
        return subprocess.Popen(
            [sys.executable, "-m", program, *map(str, words)],
            env=clean_environment(self.environment(**desk, **settings)),
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hoso(self, *words: object, by: str, seconds: float = 240.0, **settings: str) -> Said:
        """Type a command at somebody's desk and wait for its end; one that hangs is ended, and ends with -9."""
        one = self.start(*words, by=by, **settings)
        try:
            out, err = one.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            one.kill()
            out, err = one.communicate()
            self.journal.tell("finding", what="a command hung", words=list(map(str, words[:3])))
        return Said(one.returncode, out, err)

    def must(self, *words: object, by: str, **settings: str) -> Said:
        """Type a command that has to work, as before the faults begin."""
        said = self.hoso(*words, by=by, **settings)
        if said.code:
            raise RuntimeError(f"hoso {' '.join(map(str, words))}: {said.code} {said.err}")
        return said

    # The database as its administrator sees it ----------------------------------------------------------

    @contextmanager
    def owner(self, database: str = "hoso") -> Iterator[psycopg.Connection]:
        """Yield a connection as PostgreSQL's administrator."""
        with administrator(self.place, database) as connection:
            yield connection

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return rows; waits for a database that is away."""
        end = time.monotonic() + 120
        while True:
            try:
                with self.owner() as connection:
                    return list(connection.execute(query, values))  # type: ignore[call-overload]
            except psycopg.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.3)

    # Life and death -------------------------------------------------------------------------------------

    def up(self) -> None:
        """Bring back every server that does not run."""
        with self.healing:
            up(self.root, SERVERS)

    def wait_for(self, what: Callable[[], Any], seconds: float) -> bool:
        """Tell whether something came to be so in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if what():
                return True
            time.sleep(0.1)
        return bool(what())


@contextmanager
def running(root: Path, seed: int, *, settings: dict[str, str]) -> Iterator[Site]:
    """Bring an office up with people at their desks, and take all of it down."""
    root = root.absolute()
    mounted = _small_disk(root)
    try:
        first = Settings.read(up(root, [part for part in SERVERS if part != "standby"]))
        host, _, port = first.s3_endpoint.partition(":")
        store = HttpDoor(host, int(port))
        place = Place(root)
        shim = Shim(folder=place.folder("shim"), forwards_to=MODULE)
        shim.build()
        own = {
            "HOSO_S3_ENDPOINT": f"127.0.0.1:{store.port}",
            "HOSO_PKCS11_MODULE": str(shim.module),
            "HOSO_VAR_DIR": str(place.folder("var")),
            "HOSO_HISTORY_KEY_FILE": str(place.signing_key("history_key")),
            "HOSO_REVOCATION_KEPT_SECONDS": "2",
            "HOSO_TOKEN_SECONDS": "10",
            # The product waits for five; each takes a lease's time.
            "HOSO_WORKER_DEATHS": "3",
            **settings,
        }
        chosen = Settings.read(up(root, SERVERS, settings=own))
        journal = Journal(root / "faults" / "journal.jsonl")
        site = Site(root=root, seed=seed, journal=journal, settings=chosen, store=store, shim=shim)
        _open(site)
        yield site
    finally:
        down(root, patience=5)
        if mounted:
            subprocess.run(["umount", str(root / "store" / "data")], check=False)


def _small_disk(root: Path) -> bool:
    """Give the store a small file system of its own, where that is allowed, so that it can be full."""
    data = root / "store" / "data"
    data.mkdir(parents=True, mode=0o700, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_STORE_MB}m,mode=700", "tmpfs", str(data)]
    return os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0


def _open(site: Site) -> None:
    """Load what an office needs, let people log in, and watch the leases."""
    tokens = site.settings.trust_anchors.parent / "tokens.json"
    (site.folder / "desks").mkdir(mode=0o700, parents=True, exist_ok=True)
    site.must("procedure", "load", by="nobody")
    site.must("office", "load", SAMPLE / "office.yaml", "--keys", tokens, by="nobody")
    site.must("deploy", by="nobody")
    for staff in ("cong", "mai", "an"):
        log_in(site, staff)
    # By the token itself: what reaches the shim is then signatures of documents only.
    pin = site.root / "secrets" / "pin_officials"
    plain = {"HOSO_PKCS11_MODULE": str(MODULE)}
    site.must("login", f"{OFFICE}/ha", "--token", "--pin-file", pin, by="ha", **plain)
    with site.owner() as connection:
        connection.execute(_WATCH)


def log_in(site: Site, staff: str) -> None:
    """Log somebody in by a password, made by the one-time code that an engineer hands over."""
    who, desks = f"{OFFICE}/{staff}", site.folder / "desks"
    code, secret = desks / f"{staff}.code", desks / f"{staff}.secret"
    site.must("person", "enrol", who, "--code-file", code, by="nobody")
    password = secrets.token_hex(16)
    for content in (f"{code.read_text().strip()}\n{password}\n", f"{password}\n"):
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
        words = (
            ("password", who, "--secret-file")
            if "\n" in content.strip()
            else ("login", who, "--password-file")
        )
        site.must(*words, secret, by=staff)


#: Every change of a lease, with the process that made it: written by the database itself, for the checker.
_WATCH = """
create table if not exists lease_watch (
    n bigint generated always as identity, at timestamptz default clock_timestamp(), dossier text,
    was text, is_now text, was_until timestamptz, is_until timestamptz, fence_was bigint, fence_is bigint,
    done_was bigint, done_is bigint, asked_is bigint, by text);
create or replace function lease_watch() returns trigger language plpgsql security definer as $$
begin
    if old.lease_owner is distinct from new.lease_owner or old.lease_until is distinct from new.lease_until
       or old.done <> new.done then
        insert into lease_watch (dossier, was, is_now, was_until, is_until, fence_was, fence_is, done_was,
            done_is, asked_is, by)
        values (new.dossier, old.lease_owner, new.lease_owner, old.lease_until, new.lease_until, old.fence,
            new.fence, old.done, new.done, new.asked, current_setting('application_name'));
    end if;
    return null;
end $$;
drop trigger if exists lease_watch on outbox;
create trigger lease_watch after update on outbox for each row execute function lease_watch();
"""
