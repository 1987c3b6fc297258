"""
A running office for the tests: real servers, offices of their own, and keys in this process's memory.

The database, the store, the mail server and the portal are the embedded stack's. Keys are `SoftwareDevice`s,
because a process can load SoftHSM2 with one configuration only; what a real token does is shown by commands
in processes of their own (`World.hoso`).
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import io
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any, TypeVar
from unittest.mock import patch

import psycopg
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from PIL import Image
from sqlalchemy import text
from sqlmodel import Session

from infra.environment import environment, export
from infra.errors import HosoError
from infra.history.recording import entries
from infra.services import Services, services, using
from infra.settings import Settings
from infra.stack.layout import Place
from infra.stack.postgres import administrator
from infra.stack.run import down, up
from infra.token import Token
from infra.token.software import SoftwareDevice
from tasks.appointment.acts import book
from tasks.appointment.rules import next_slot
from tasks.authority.loading import load_authority
from tasks.certificates.lifecycle import CertificateState
from tasks.certificates.reading import read_certificate
from tasks.certificates.tables import CertificateRow
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.certification.steps import issue_copy, originals_to_number, reserve_number
from tasks.dossier.looking import look, office_of, originals_of
from tasks.dossier.moves import Actor, person
from tasks.dossier.offices import OfficeData
from tasks.dossier.opening import Applicant, Opening
from tasks.dossier.tables import DossierRow, OfficeRow, OriginalRow
from tasks.evidence.steps import lift_for_release
from tasks.people.desk import hash_of_token
from tasks.people.logins import open_login
from tasks.people.persons import load_people, works_here
from tasks.signing.authorising import Signer
from tasks.signing.lists import Listed
from tasks.signing.steps import sign_original, validate
from tasks.signing.together import Wanted, sign_together

if TYPE_CHECKING:
    from tests.conftest import Authority

T = TypeVar("T")

PARTS = ("database", "store", "pki", "token", "mail", "portal", "standby")
PIN = "428571"
VECTORS = Path(__file__).with_name("vectors")
OFFICE = VECTORS / "office.yaml"
#: What an office's file says of people; with any of it changed, people are loaded as everywhere else.
PEOPLE = {"officers", "authority", "regime", "seal"}
SCANS = VECTORS / "scans"
IMAGES = Path(__file__).resolve().parents[1] / "infra" / "stack" / "sample_office"

#: A procedure that costs nothing and has no register: another agency's signed result.
RETURN = "return-of-result"

#: Commands that nobody needs a login for.
OPEN = {"login", "logout", "password", "desk", "office", "procedure", "status", "no-shows", "seal", "deploy", "drain", "work",
        "project", "probe", "history", "reconcile", "fixity", "standing", "migrate", "demo", "bench", "bench-latency"}  # fmt: skip
ALL_DAY = {day: [{"opens": "00:00:00", "closes": "23:59:59"}] for day in range(1, 8)}


#: A command that needs Prefect, in a process that has loaded it already.
HOSO = """
import sys
from flows.prefect_api import prepare
from infra.settings import settings
from prefect.context import refresh_global_settings_context
prepare(settings())
refresh_global_settings_context()
sys.argv[0] = "hoso"
from flows.cli import main
main()
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


class Parts(Services):
    """The real parts, with keys in memory; a test may give any part another value."""

    def __init__(self, chosen: Settings, devices: dict[str, SoftwareDevice]) -> None:
        super().__init__(chosen)
        self.devices = devices

    def open_token(self, uri: str, *, pin: str | None, certificate: bytes, last_try: bool = False) -> Token:
        label = uri.partition("token=")[2].partition(";")[0]
        return self.devices[label].open(uri, pin=pin, certificate=certificate)

    def has_pad(self, uri: str) -> bool:
        device = self.devices.get(uri.partition("token=")[2].partition(";")[0])
        if device is not None:
            device.must_be_present()
        return False

    def seal_pin(self) -> str:
        return PIN


@dataclass(kw_only=True)
class World:
    """A stack and its offices; every office belongs to the test that opened it."""

    root: Path
    settings: Settings
    authority: Authority
    parts: Parts
    devices: dict[str, SoftwareDevice]
    keys: dict[str, rsa.RSAPrivateKey]
    scan: bytes
    _codes: Iterator[int] = field(default_factory=lambda: count(100))
    _sits: Path | None = None
    _model: str | None = None
    _subjects: dict[Path, str] = field(default_factory=dict)
    #: The processes that stand by for programs, by what they have loaded; started when one is needed.
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    # Commands -------------------------------------------------------------------------------------

    # Who types is said by `by`, a staff code of the office that the words name; without it the clerk `mai` does,
    # and with `by=None` nobody is logged in. `as_` seats somebody for a while.

    def hoso(self, *words: object, by: str | None = "", **settings: str) -> Said:
        """Run a command in a process of its own, as a person would."""
        return self._started([sys.executable, "-m", "flows.command"], words, by, settings)

    def run(self, program: str, *words: object, by: str | None = "", **settings: str) -> Said:
        """Run a Python program with this stack's settings, in a process of its own that has Prefect and the flows loaded."""
        return self._started(self.programming(program), words, by, settings)

    def run_light(self, program: str, *words: object, by: str | None = "", **settings: str) -> Said:
        """Run a Python program with this stack's settings, in a process that has the bare command line loaded."""
        return self._started(self.programming(program, "light"), words, by, settings)

    def programming(self, program: str, loaded: str = "flows") -> list[str]:
        """Return the command line that runs a program so; the first one starts the process that stands by for them."""
        door, asked = self.root / f"programs-{loaded}", [sys.executable, "-m", "tests.standing_by"]
        with self._starting:
            if loaded not in self.programs:
                words = [*asked, loaded, str(door)]
                around = environment({"PREFECT_HOME": str(self.root / "prefect-client")})
                started = self.programs[loaded] = subprocess.Popen(words, env=around)
                while not door.exists():
                    assert started.poll() is None, "the process that stands by for programs ended"
                    time.sleep(0.05)
        return [*asked, str(door), program]

    def end(self) -> None:
        """End what this world started beside its stack."""
        for process in self.programs.values():
            process.terminate()
            process.wait()

    def _started(
        self, program: list[str], words: tuple[object, ...], by: str | None, settings: dict[str, str]
    ) -> Said:
        words, desk = self.seated(words, by)
        env = {name: value for name, value in environment().items() if not name.startswith("HOSO_")}
        env |= {"HOSO_ENV_FILE": str(self.root / "hoso.env"), "HOSO_SESSION_FILE": str(desk), **settings}
        command = [*program, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=120)
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def type(self, *words: object, by: str | None = "") -> Said:
        """Run a command in this process: the same words, the same messages, the same exit code."""
        from flows.cli import main

        words, desk = self.seated(words, by)

        out, err = io.StringIO(), io.StringIO()
        ended = 0
        with (
            patch.object(sys, "argv", ["hoso", *map(str, words)]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            self._at(desk),
        ):
            try:
                main()
            except SystemExit as stop:
                ended = int(stop.code or 0)
        return Said(code=ended, out=out.getvalue(), err=err.getvalue())

    @contextmanager
    def as_(self, office: str, staff: str) -> Iterator[None]:
        """Let somebody sit at the desk, logged in, within a `with` block."""
        before, self._sits = self._sits, self.desk(office, staff)
        try:
            with self._at(self._sits):
                yield
        finally:
            self._sits = before

    def desk(self, office: str, staff: str) -> Path:
        """Return the session file of somebody who is logged in; the login is opened once."""
        file = self.root / "desks" / f"{office}-{staff}"
        if not file.exists() or self._is_over(file):
            with self._at(file), self.parts.database.transaction() as session:
                person = works_here(session, office, staff)
                assert person is not None, f"nobody is {office}/{staff}"
                open_login(session, person, "password")
        return file

    def _is_over(self, desk: Path) -> bool:
        """Whether a person's roles were changed, which ended the login of this desk."""
        token = hash_of_token(desk.read_text(encoding="utf-8").strip())
        return bool(self.ask("select 1 from login where token_sha256 = :t and ended_by = 'role'", t=token))

    @contextmanager
    def _at(self, desk: Path) -> Iterator[None]:
        """Work at a desk: its session file is the one that commands read."""
        parts = copy(services())
        parts.settings = parts.settings.model_copy(update={"session_file": desk})
        with using(parts):
            yield

    def seated(self, words: Sequence[object], by: str | None = "") -> tuple[Sequence[object], Path]:
        """Return the words of a command and the desk that it is typed at."""
        if "--by" in words:
            place = words.index("--by")
            by, words = str(words[place + 1]), (*words[:place], *words[place + 2 :])
        nobody = self.root / "desks" / "nobody"
        if by is None or (not by and words and words[0] in OPEN):
            return words, nobody
        if not by and self._sits is not None:
            return words, self._sits
        return words, self.desk(self._office_in(words), by or "mai")

    def _office_in(self, words: Sequence[object]) -> str:
        """Return the office that a command is about; any office when it names none that is here."""
        known = [
            str(row[0]) for row in self.ask("select office from person where staff = 'mai' order by office")
        ]
        named = self.ask(
            "select digest, office from sign_list union select code, office from registration_round"
            " union select digest, office from destruction_list"
        )
        of = {str(row[0]): str(row[1]) for row in named}
        for word in map(str, words):
            names = (word, word.rsplit("-", 2)[0], word.partition("/")[0], of.get(word))
            found = [code for code in names if code in known]
            if found:
                return found[0]
        return known[0] if known else self.office()

    # Parts ----------------------------------------------------------------------------------------

    @contextmanager
    def having(self, **parts: object) -> Iterator[Parts]:
        """Work with other parts in place of some, within a `with` block."""
        changed = Parts(self.settings, self.devices)
        changed.__dict__.update({**self.parts.__dict__, **parts})
        with using(changed):
            yield changed

    def at_once(self, works: Sequence[Callable[[], T]]) -> list[T | Exception]:
        """Do things at the same moment, each in a thread of its own; return what each gave or raised."""
        barrier = Barrier(len(works))

        def one(work: Callable[[], T]) -> T | Exception:
            barrier.wait(30)
            try:
                return work()
            except Exception as error:
                return error

        with ThreadPoolExecutor(len(works)) as pool:
            tries = [pool.submit(copy_context().run, one, work) for work in works]
            return [done.result() for done in tries]

    @contextmanager
    def owner(self) -> Iterator[psycopg.Connection]:
        """Yield a connection as PostgreSQL's administrator."""
        with administrator(Place(self.root), "hoso") as connection:
            yield connection

    def put(self, statement: str, **values: object) -> None:
        """Change rows behind the application's back, as time or a mishap would."""
        with self.parts.database.transaction() as session:
            session.connection().execute(text(statement), values)
        # A process may carry PostgreSQL's clock a few milliseconds behind: what ends now has ended for all of them after that.
        time.sleep(0.006)

    def ask(self, statement: str, **values: object) -> list[Any]:
        """Return rows."""
        with self.parts.database.transaction() as session:
            return list(session.connection().execute(text(statement), values))

    def counts(self, *tables: str) -> dict[str, int]:
        """Return how many rows tables have; without names, all of the application's."""
        names = tables or tuple(
            r[0]
            for r in self.ask(
                "select relname from pg_class where relnamespace = 'public'::regnamespace "
                "and relkind = 'r' and has_table_privilege(oid, 'select')"
            )
        )
        return {n: self.ask(f"select count(*) from {n}")[0][0] for n in names if n != "alembic_version"}

    def picture(self) -> dict[str, object]:
        """
        Return a fingerprint of every table: two that are equal show that nothing at all was changed.

        Of the tables that only grow, the number of rows says as much.
        """
        growing = {"history_entry", "history_payload", "certificate", "login"}
        found: dict[str, object] = {}
        for name, count_of in self.counts().items():
            if name == "reading":
                continue  # That somebody looked changes nothing.
            query = f"select md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) from {name} t"
            found[name] = count_of if name in growing else self.ask(query)[0][0]
        return found

    # Offices and people ---------------------------------------------------------------------------

    def office(self, **changes: object) -> str:
        """Open an office of its own with certificates for its keys and return its code; it never closes."""
        code = f"H49.T{next(self._codes)}"
        body = yaml.safe_load(OFFICE.read_text(encoding="utf-8"))
        body |= {
            "code": code,
            "hours": ALL_DAY,
            "holidays": [],
            "capacity": 60,
            "slot_minutes": 15,
            **changes,
        }
        data = OfficeData.model_validate(body)
        with self.parts.database.transaction() as session:
            moment = self.parts.clock.now()
            session.add(OfficeRow(code=code, body=data.model_dump(mode="json"), loaded_at=moment))
            session.flush()
            if changes.keys() & PEOPLE:
                load_people(session, data, by=Actor(role="engineer"))
            else:
                self._copy_people(session, code)
            for number, (holder, key, image) in enumerate(_keys(data), start=1):
                picture = (IMAGES / image).read_bytes()
                session.add(self._certificate(code, holder, key, number, picture, moment))
            if changes.keys() & PEOPLE:
                load_authority(session, data)
        for staff in {"mai", "ha"} & {officer.staff for officer in data.officers}:
            self.desk(code, staff)  # Now, so that a test that looks for changes does not see a login.
        return code

    def _copy_people(self, session: Session, code: str) -> None:
        """Copy the people, posts and mandates of an office that nothing else happens to; loading them takes longer."""
        if self._model is None:
            self._model = ""
            self._model = self.office(officers=yaml.safe_load(OFFICE.read_text(encoding="utf-8"))["officers"])
        for table in ("person", "person_role", "post", "holding", "mandate", "seal_keeper"):
            new = "replace(to_jsonb(t)::text, :model_said, :code_said)::jsonb"
            if table != "person":
                new += f" || jsonb_build_object('id', nextval(pg_get_serial_sequence('{table}', 'id')))"
            copied = (
                f"insert into {table} select (jsonb_populate_record(t, {new})).* from {table} t"
                f" where office = :model{'' if table == 'person' else ' order by id'}"
            )
            names = {"model": self._model, "model_said": f'"{self._model}"', "code_said": f'"{code}"'}
            session.connection().execute(text(copied), names)

    def _certificate(
        self, office: str, holder: str, key: str, number: int, image: bytes, moment: datetime
    ) -> CertificateRow:
        """Make a key usable on a device of the office's own."""
        label = f"{office}-{key}"
        private = self.keys[key]
        self.devices[label] = SoftwareDevice(label=label, pin=PIN, keys={bytes([number]): private})
        der = self.authority.issue(f"{key} {office}", private.public_key(), start=moment - timedelta(days=1))
        facts = read_certificate(der)
        return CertificateRow(
            sha256=facts.sha256,
            office=office,
            holder=holder,
            state=CertificateState.ACTIVE,
            serial=facts.serial,
            subject=facts.subject_text,
            issuer=facts.issuer_text,
            not_before=facts.not_before,
            not_after=facts.not_after,
            tested_at=moment,
            activated_at=moment,
            key=key,
            token_uri=f"pkcs11:token={label};id=%{number:02x};type=private",
            der=der,
            image=image,
            registered_at=moment,
        )

    def officer(self, office: str, staff: str = "mai", role: str = "clerk") -> Actor:
        """Return somebody of an office as an actor."""
        with self.parts.database.transaction() as session:
            data = office_of(session, office)
        return person(data, data.officer(staff, role), role)  # type: ignore[arg-type]

    def signer(self, office: str, staff: str = "ha", *, token: Token | None = None) -> Signer:
        """Return an open key: an official's, or the agency's for `seal`."""
        key = "seal" if staff == "seal" else f"official-{staff}"
        row = self.ask(
            "select token_uri, der, image from certificate where office = :o and key = :k", o=office, k=key
        )[0]
        opened = token or self.parts.open_token(row.token_uri, pin=PIN, certificate=row.der)
        role, name = ("agency", "") if staff == "seal" else ("official", staff)
        return Signer(role=role, staff=name, token=opened, image=row.image)

    # Dossiers -------------------------------------------------------------------------------------

    def booked(
        self, office: str, at: datetime | None = None, *, applicant: Applicant | None = None, **more: Any
    ) -> str:
        """Book a slot (the next one, if none is named) and return the dossier's code."""
        opening = Opening(office=office, procedure="e-copy", applicant=applicant or somebody(), **more)
        return book(opening, at or self.slot(office), by=self.officer(office, "cong", "portal")).opened.code

    def slot(self, office: str, ahead: int = 0) -> datetime:
        """Return the start of an office's next slot, or of one some slots later."""
        with self.parts.database.transaction() as session:
            data = office_of(session, office)
        now = moment = self.parts.clock.now()
        for _ in range(ahead + 1):
            found = next_slot(moment, data.calendar(), data.slot_minutes, now=now)
            moment = found + timedelta(minutes=data.slot_minutes)
        return found

    def received(
        self,
        office: str,
        originals: int = 1,
        *,
        applicant: Applicant | None = None,
        channels: Sequence[str] = (),
        receipt: Receipt | None = None,
        by: str = "mai",
        copies: int = 1,
    ) -> str:
        """Receive a walk-in with one-page originals, paid at once, and return the dossier's code."""
        opening = Opening(
            office=office, procedure="e-copy", applicant=applicant or somebody(), channels=channels
        )
        shown = [
            Presented(kind=f"Giấy {n}", files=((f"{n}.jpg", self.scan),), copies=copies)
            for n in range(1, originals + 1)
        ]
        actor = self.officer(office, by)
        return receive_walk_in(opening, shown, receipt or Receipt(paid="BL-1"), by=actor).code

    def frozen(self, office: str, originals: int = 1, **more: Any) -> str:
        """Receive a walk-in and bring it to the official's list; nothing is sent to anybody yet."""
        code = self.received(office, originals, **more)
        for ordinal in originals_to_number(code):
            reserve_number(code, ordinal)
        for ordinal in range(1, originals + 1):
            issue_copy(code, ordinal)
        return code

    def signed(self, office: str, originals: int = 1, **more: Any) -> str:
        """Bring a dossier to where officials and agency have signed everything, and nothing was returned yet."""
        code = self.frozen(office, originals, **more)
        for ordinal in range(1, originals + 1):
            assert sign_original(code, ordinal, self.signer(office))
            assert sign_original(code, ordinal, self.signer(office, "seal"))
            lift_for_release(code, ordinal)
            assert validate(code, ordinal)
        return code

    def carry(self, code: str) -> None:
        """Carry a dossier as far as it goes without a person."""
        # Prefect makes a folder when it is imported; nothing of a test belongs into the user's home.
        export("PREFECT_HOME", str(self.root / "prefect-client"))
        from flows.dossier import carry

        asyncio.run(carry(code))

    def dossier(self, code: str) -> DossierRow:
        """Return a dossier as it stands."""
        with self.parts.database.transaction() as session:
            return look(session, code)

    def originals(self, code: str) -> list[OriginalRow]:
        """Return its originals as they stand."""
        with self.parts.database.transaction() as session:
            return originals_of(session, code)

    def stage(self, code: str) -> str:
        """Return where a dossier stands."""
        return str(self.dossier(code).stage)

    def told(self, code: str) -> list[dict[str, Any]]:
        """Return what the history says of a dossier."""
        with self.parts.database.transaction() as session:
            return [json.loads(entry.content) for entry in entries(session, code)]

    def events(self, code: str) -> list[str]:
        """Return what happened to a dossier, in order."""
        return [entry["event"] for entry in self.told(code)]

    def mails(self, code: str) -> list[EmailMessage]:
        """Return what the mail server took about a dossier, oldest first."""
        files = sorted((self.root / "mail").glob("*.eml"))
        for file in files:
            if file not in self._subjects:
                head = BytesHeaderParser(policy=policy.default).parsebytes(file.read_bytes())
                self._subjects[file] = str(head["Subject"])
        about = [file for file in files if code in self._subjects[file]]
        return [email.message_from_bytes(file.read_bytes(), policy=policy.default) for file in about]


def somebody(**changes: Any) -> Applicant:
    """Return an applicant whom e-mail reaches; nobody else has this identity."""
    known = {"name": "Trần Thị Sen", "identity": f"0220{random.randrange(10**8):08d}", **changes}
    if "email" not in changes and "account" not in changes:
        known["email"] = "sen.tran@citizen.example"
    return Applicant(**known)


def refused(error: type[HosoError], work: Callable[[], object]) -> HosoError:
    """Return the error that a piece of work ends with."""
    try:
        work()
    except error as found:
        return found
    raise AssertionError(f"{error.__name__} was expected")


def small_scan(seed: int = 11) -> bytes:
    """Return a colour JPEG of 30 × 20 mm at 200 dpi: the smallest thing that a scan can be."""
    rng = random.Random(seed)
    colours = [(rng.randrange(256), rng.randrange(256), rng.randrange(256)) for _ in range(96)]
    small = Image.new("RGB", (12, 8))
    small.putdata(colours)
    out = io.BytesIO()
    small.resize((236, 157), Image.Resampling.BICUBIC).save(out, "JPEG", dpi=(200, 200))
    return out.getvalue()


def _keys(office: OfficeData) -> list[tuple[str, str, str]]:
    """Return the keys that an office names: whose (the agency's first), what it is called, its image."""
    people = [(o.staff, o.key, o.image) for o in office.officers if o.key and o.image]
    return [("", office.seal.key, office.seal.image), *people]


def _up(root: Path) -> Path:
    """Start the parts, with the store that runs elsewhere (`HOSO_TEST_STORE`) in the place of our own."""
    described = environment().get("HOSO_TEST_STORE", "")
    if not described:
        return up(root, PARTS)
    lines = Path(described).read_text(encoding="utf-8").splitlines()
    elsewhere = dict(line.split("=", 1) for line in lines if line)
    return up(root, [part for part in PARTS if part != "store"], settings=elsewhere)


def _do_not_wait_for_the_disk(root: Path) -> None:
    """Let commits of this world return at once; what is tested here outlives processes, not the machine."""
    with administrator(Place(root), "hoso") as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"alter system set {name} = off")
        connection.execute("select pg_reload_conf()")


@contextmanager
def running(root: Path, authority: Authority) -> Iterator[World]:
    """Bring a stack up with procedures loaded, and take it down."""
    try:
        # Every package has a checkpoint of its own at once: no test waits for one that is shared.
        settings = Settings.read(_up(root), session_file=root / "desks" / "nobody", checkpoint_seconds=0)
        _do_not_wait_for_the_disk(root)
        authority.serve(root / "pki" / "served")
        devices: dict[str, SoftwareDevice] = {}
        parts = Parts(settings, devices)
        real = Parts(settings, {})
        parts.__dict__["anchors"] = (*real.anchors, *authority.anchors)
        parts.__dict__["chain"] = (*real.chain, *authority.chain)
        for name in ("database", "clock", "work", "archive", "mail", "portal", "timestamps", "revocation"):
            getattr(parts, name)
        keys = {
            name: rsa.generate_private_key(65537, 2048)
            for name in ("seal", "official-ha", "official-lam", "official-quy")
        }
        world = World(
            root=root,
            settings=settings,
            authority=authority,
            parts=parts,
            devices=devices,
            keys=keys,
            scan=small_scan(),
        )
        with using(parts):
            assert world.type("procedure", "load").code == 0
        try:
            yield world
        finally:
            world.end()
        parts.database.close()
    finally:
        down(root, patience=1)


def together(signer: Signer) -> Callable[[Sequence[Listed]], list[bool | BaseException | None]]:
    """Return what signs some documents of a list by one signer, as the command does."""
    return lambda some: sign_together([Wanted(d.dossier, d.original, d.sha256) for d in some], signer)
