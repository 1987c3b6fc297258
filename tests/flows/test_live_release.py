"""
A release takes over from another on a working day, and the other one again: nothing is lost, repeated or left behind.

The second release is a copy of this one with another step in the life, and another schema; it runs as processes
of its own, from a folder of its own.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.environment import environment
from infra.release import FOLDER, code_digest, release_name
from infra.stack import process
from infra.stack.layout import Place
from infra.stack.parts import for_programs
from infra.stack.process import Command, Identity
from infra.stack.run import pids
from tasks.certification.examining import stop
from tasks.releases.current import Release, current
from tests.flows.live import OFFICE, Live, until
from tests.flows.test_live_batches import certified_once, for_the_batch
from tests.flows.test_live_workers import kept_once
from tests.world import Said

pytestmark = pytest.mark.long

#: The step that the next release has and this one does not.
STEP = """
import asyncio

from infra.services import services
from tasks.dossier.lifecycle import Stage
from tasks.dossier.looking import hold
from tasks.dossier.moves import Telling, tell


async def second_look(code: str) -> None:
    await asyncio.to_thread(_look, code)


def _look(code: str) -> None:
    with services().database.transaction() as session:
        dossier = hold(session, code)
        told = session.connection().exec_driver_sql("select 1 from second_look where dossier = %s", (code,)).all()
        if dossier.stage == Stage.SIGNED and not told:
            session.connection().exec_driver_sql("insert into second_look values (%s)", (code,))
            tell(session, dossier, Telling(event="second-look:done"))
"""

SCHEMA = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "9999", "{before}", None, None


def upgrade() -> None:
    op.execute("set local role hoso_owner")
    op.execute("create table second_look (dossier text primary key)")
    op.execute("alter table dossier add column looked_at timestamptz")
    op.execute("grant select, insert on second_look to hoso_app")
    op.execute("reset role")
"""


@dataclass
class Next:
    """The next release, in a folder of its own."""

    office: Live
    folder: Path

    def change(self, file: str, old: str, new: str) -> None:
        """Change one file of it."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old} in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def hoso(self, *words: str) -> Said:
        """Run a command of it."""
        env = environment({"HOSO_ENV_FILE": str(self.office.root / "hoso.env"), "HOSO_STANDBY": "no"})
        command = [sys.executable, "-m", "flows.command", *words]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120)
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    @contextmanager
    def worker(self) -> Iterator[Identity]:
        """Run a warm worker of it."""
        place, mark = Place(self.office.root), "next-worker"
        command = Command(
            argv=(sys.executable, "-m", "flows.command", "work"),
            environment=for_programs(place) | {"HOSO_STANDBY": "no"},
            folder=self.folder,
        )
        marked = process.mark_of(mark, self.office.root)
        started = process.start(command, pid_file=place.pid_file(mark), log=place.log(mark), mark=marked)
        try:
            yield started
        finally:
            process.stop(started, marked, by=signal.SIGTERM, patience=20)

    def said(self) -> str:
        """What its worker wrote down."""
        return Place(self.office.root).log("next-worker").read_text(encoding="utf-8")


def copied(folder: Path) -> Path:
    """Copy this release into a folder."""
    for name in ("flows", "tasks", "infra"):
        shutil.copytree(FOLDER / name, folder / name)
    for name in ("prefect.yaml", "requirements.lock"):
        shutil.copy2(FOLDER / name, folder / name)
    return folder


@pytest.fixture
def following(office: Live, tmp_path: Path) -> Iterator[Next]:
    """The next release; at the end this one works again on its own schema."""
    release = Next(office, copied(tmp_path / "next"))
    (release.folder / "RELEASE").write_text("next\n", encoding="utf-8")
    (release.folder / "flows" / "second_look.py").write_text(STEP, encoding="utf-8")
    versions = release.folder / "infra" / "migrations" / "versions"
    before = max(path.name for path in versions.glob("0*.py"))[:4]
    (versions / "9999_second_look.py").write_text(SCHEMA.format(before=before), encoding="utf-8")
    release.change(
        "flows/dossier.py", "    signing,\n    issued,", "    signing,\n    second_look,\n    issued,"
    )
    release.change(
        "flows/dossier.py",
        "from flows.running import",
        "from flows.second_look import second_look\nfrom flows.running import",
    )
    release.change(
        "flows/upkeep.py", "dossiers carried on, {wrong}", "dossiers carried on by the next release, {wrong}"
    )
    yield release
    office.up()
    if current() != Release(name=release_name(), code=code_digest()):
        assert office.deploy().code == 0
    with office.owner() as connection:
        connection.execute("drop table if exists second_look")
        connection.execute("alter table dossier drop column if exists looked_at")
        connection.execute("update alembic_version set version_num = %s", (before,))
    office.up()


@contextmanager
def locked_book(office: Live) -> Iterator[None]:
    """Let nobody reserve a number for the length of a block, so that whoever certifies stays in its middle."""
    with office.owner() as connection, connection.transaction():
        connection.execute("select from register_book where office = %s for update", (OFFICE,))
        yield


@contextmanager
def busy(office: Live) -> Iterator[str]:
    """Keep this release's worker in the middle of a leg for the length of a block; yields the dossier's code."""
    with locked_book(office):
        code = office.receive()
        until("its leg", lambda: "/" in str(holder(office, code)))
        yield code


def holder(office: Live, code: str) -> str | None:
    """Who holds a dossier's lease."""
    held: str | None = office.ask("select lease_owner from outbox where dossier = :c", c=code)[0].lease_owner
    return held


def begun_batch(office: Live, codes: Sequence[str]) -> str:
    """Begin a batch, and wait until a chunk of it is in the middle of these dossiers; returns the batch's run."""
    run = office.press_run("certification-batch", office=OFFICE)
    until("a chunk that is carried", lambda: all(holder(office, code) for code in codes))
    return str(run)


def carried(office: Live, run: str, codes: Sequence[str]) -> None:
    """Wait for the end of a batch, and see that each dossier was certified, by it, and once."""
    until("the end of the batch", lambda: office.api("GET", f"/flow_runs/{run}")["state_type"] == "COMPLETED")
    assert office.api("GET", f"/flow_runs/{run}")["state_name"] == f"{len(codes)} done"
    assert certified_once(office, codes)
    assert [office.events(code).count("number:reserved") for code in codes] == [1] * len(codes)


def looks(office: Live, code: str) -> int:
    """How often the step that only the next release has was done for a dossier."""
    return office.events(code).count("second-look:done")


def test_a_release_takes_over_on_a_working_day_and_the_one_before_it_comes_back(
    office: Live, following: Next
) -> None:
    before, waiting = release_name(), [office.receive() for _ in range(3)]
    booked, stopped, batched = office.book(), office.receive(), for_the_batch(office, 2)
    for code in (*waiting, stopped):
        office.waits(code, "AwaitingSignature")
    office.sign(waiting[0])
    office.waits(waiting[0], "AwaitingArchive")
    stop(stopped, "chờ xác minh", by=office.officer(OFFICE))
    (leader,) = pids(office.root, "warm-worker")[:1]

    # Its schema first: the release that works goes on with it. Deploying before that is refused.
    refused = following.hoso("deploy")
    assert (refused.code, "[RELEASE-03]" in refused.err) == (1, True), refused.err
    assert following.hoso("migrate").code == 0
    assert office.hoso("migrate").code == 0, "an older release leaves a newer schema as it is"
    office.sign(waiting[1])
    office.waits(waiting[1], "AwaitingArchive")

    with following.worker() as worker:
        until("its wait", lambda: "waits until it is deployed" in following.said())
        with busy(office) as held:
            batch = begun_batch(office, batched)
            planned = following.hoso("deploy", "--plan")
            assert f"let release next take over from {before}" in planned.out
            assert "sweep" in planned.out
            deployed = following.hoso("deploy", "--json")
            assert deployed.json[-1] == "release next works from now on", deployed.err
            office.sign(waiting[2])
            office.waits(waiting[2], "AwaitingArchive")
            assert f"/{leader}/" in str(holder(office, held)), "what was begun is finished by who began it"
        until("the end of the worker before", lambda: not pids(office.root, "warm-worker"))
        office.waits(held, "AwaitingSignature")
        carried(office, batch, batched)
        assert [looks(office, code) for code in (*waiting, held)] == [0, 0, 1, 0]

        # What Prefect starts runs the new code too.
        run = office.press_run("sweep")
        until("the sweep", lambda: office.api("GET", f"/flow_runs/{run}")["state_type"] == "COMPLETED")
        assert "by the next release" in office.api("GET", f"/flow_runs/{run}")["state"]["message"]
        assert office.api("GET", "/deployments/name/sweep/sweep")["version"] == "next"

        # Back again: the release before works on the newer schema.
        office.up()
        rolled_back = office.deploy("--json")
        assert rolled_back.json[-1] == f"release {before} works from now on", rolled_back.err
        until("the end of the next one's worker", lambda: not process.alive(worker))
    office.sign(held)
    office.waits(held, "AwaitingArchive")
    assert looks(office, held) == 0

    for code in (*waiting, held):
        kept_once(office, code, 1)
        assert office.events(code).count("result:returned") == 1
    assert office.stage(booked) == "Booked"
    assert office.stage(stopped) == "Stopped"
    assert office.dossier(held).procedure_version == office.dossier(waiting[2]).procedure_version
    office.shown(*waiting, held, booked, stopped, *batched)


def test_a_drained_office_takes_acts_and_carries_them_on_when_it_is_deployed_again(office: Live) -> None:
    office.up()
    batched = for_the_batch(office, 2)
    with locked_book(office):
        batch = begun_batch(office, batched)
        busy_still = office.hoso("drain", "--patience", "0")
        assert (busy_still.code, "still at work" in busy_still.err) == (4, True), busy_still.err
    drained = office.hoso("drain")
    assert drained.code == 0, drained.err
    carried(office, batch, batched)
    until("the end of the worker", lambda: not pids(office.root, "warm-worker"))
    assert office.api("GET", "/work_pools/hoso")["is_paused"]
    code = office.receive()
    office.up()
    assert "number:reserved" not in office.events(code)
    said = office.deploy("--json").json
    assert said == ["resumed work pool hoso", f"release {release_name()} works from now on"]
    office.waits(code, "AwaitingSignature")
    office.shown(code)
