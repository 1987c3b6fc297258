"""
The whole stack as it runs at an office, Prefect and workers included, with the buttons of the Prefect UI.

Keys are on the stack's own tokens, so signing is a command in a process of its own. A button is the request
that the UI sends when it is pressed.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from flows.standing import waiting
from infra.errors import HosoError
from infra.services import Services, using
from infra.settings import Settings
from infra.stack.layout import Place
from infra.stack.postgres import administrator
from infra.stack.run import down, pids, up
from tests.world import HOSO, IMAGES, Said, World, small_scan, somebody

if TYPE_CHECKING:
    from tests.conftest import Authority

T = TypeVar("T")

OFFICE = "H49.21"

#: Seconds after which something that should come is missed; generous, because machines are slow.
PATIENCE = 150.0

#: Personal data of every applicant here; none of it may be found in Prefect.
CANARIES = {
    "name": "Quách Thị Hoàng Yến",
    "address": "Ngõ Chim Hoàng Yến, xã Bình Liêu",
    "telephone": "0987 600 613",
    "email": "hoang.yen@canary.example",
}
IDENTITY = "02277613"  # the first digits of every applicant's


def until(what: str, look: Callable[[], T]) -> T:
    """Return the first thing that `look` sees and that counts; fails naming `what` when nothing comes."""
    deadline, pause = time.monotonic() + PATIENCE, 0.1
    seen: object = None
    while time.monotonic() < deadline:
        try:
            seen = found = look()
        except (httpx.HTTPError, HosoError) as error:
            seen = error
        else:
            if found:
                return found
        time.sleep(pause)
        pause = min(pause * 1.3, 0.6)  # Looking costs the processor that does what is waited for.
    raise AssertionError(f"{what} did not come; seen last: {seen}")


@dataclass(kw_only=True)
class Live(World):
    """A running office, and its Prefect server."""

    # People ---------------------------------------------------------------------------------------

    def book(self, **changes: Any) -> str:
        """Book a slot of its own for an applicant whose every datum is a canary; return the code."""
        number = next(self._codes)
        applicant = somebody(**{"identity": f"{IDENTITY}{number:04d}", **CANARIES, **changes})
        return self.booked(OFFICE, self.slot(OFFICE, number % 80), applicant=applicant)

    def receive(self, originals: int = 1) -> str:
        """Receive a walk-in, paid at once; return the code."""
        number = next(self._codes)
        applicant = somebody(identity=f"{IDENTITY}{number:04d}", **CANARIES)
        return self.received(OFFICE, originals, applicant=applicant)

    def sign(self, *codes: str) -> None:
        """Let the official sign what waits of some dossiers, in one list."""
        only = [word for code in codes for word in ("--only", code)]
        listed = self.hoso("sign", "--list", *only, "--json", by="ha")
        assert listed.code == 0, listed.err
        pin = self.root / "secrets" / "pin_officials"
        signed = self.hoso("sign", "--manifest", listed.json["digest"], "--pin-file", pin, by="ha")
        assert signed.code == 0, signed.err

    def deploy(self, *words: object) -> Said:
        """Run `hoso deploy` in a process that has Prefect loaded; the office's first one loaded everything by itself."""
        return self.run(HOSO, "deploy", *words, by=None)

    def waits(self, code: str, *names: str) -> str:
        """Wait until a dossier waits under one of some names and nobody is at it, by the database."""

        def look() -> str | None:
            name = waiting(code).name
            busy = self.ask(
                "select 1 from outbox where dossier = :c and (asked > done or lease_owner is not null)",
                c=code,
            )
            return name if name in names and not busy else None

        return until(f"{code} under {names}", look)

    # Prefect --------------------------------------------------------------------------------------

    def api(self, method: str, path: str, **body: Any) -> Any:
        """Ask the Prefect server, as the page in the browser does."""
        url = f"{self.settings.prefect_api_url}{path}"
        answer = httpx.request(method, url, json=body if method in ("POST", "PATCH") else None, timeout=20)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Return the runs of dossiers that pass a filter of the UI's."""
        deployments = {"name": {"any_": ["dossier"]}}
        found = self.api("POST", "/flow_runs/filter", flow_runs=filters, deployments=deployments, limit=200)
        return list(found)

    def run_of(self, code: str) -> dict[str, Any]:
        """Return the one run that bears a dossier's code."""
        found = self.runs(name={"any_": [code]})
        assert len(found) == 1, f"{code} has {len(found)} runs"
        return found[0]

    def states(self, run: str) -> list[str]:
        """Return the names of all states that a run has had, oldest first."""
        found = self.api("GET", f"/flow_run_states/?flow_run_id={run}")
        return [state["name"] for state in sorted(found, key=lambda one: one["timestamp"])]

    def set_state(self, run: str, kind: str, name: str) -> Any:
        """Press a button that sets a run's state."""
        return self.api("POST", f"/flow_runs/{run}/set_state", state={"type": kind, "name": name})

    def is_shown(self, code: str) -> bool:
        """Whether the dossier's run says what the database says, and the run is the one that is known."""
        waits, found = waiting(code), self.runs(name={"any_": [code]})
        if len(found) != 1:
            return False
        run = found[0]
        kind = "COMPLETED" if waits.ended else "PAUSED"
        booked = waits.name == "Booked" and run["state_type"] == "PENDING"
        right = run["state_name"] == waits.name and (run["state_type"] == kind or booked)
        return right and run["id"] == str(self.dossier(code).run_id)

    def shown(self, *codes: str) -> None:
        """Wait until Prefect shows the truth of some dossiers."""
        for code in codes:
            until(f"the truth of {code}", lambda code=code: self.is_shown(code))  # type: ignore[misc]

    def timeline(self, code: str) -> str:
        """Return the newest page beside a dossier's run."""
        key = "dossier-" + code.lower().replace(".", "-")
        return str(self.api("GET", f"/artifacts/{key}/latest")["data"])

    def page_of(self, key: str) -> str:
        """Return where the browser finds the newest page under a key; `latest` names the key's own id, not the page's."""
        chosen = {"key": {"any_": [key]}}
        [found] = self.api("POST", "/artifacts/filter", artifacts=chosen, sort="CREATED_DESC", limit=1)
        return f"{self.settings.prefect_ui_url}/artifacts/artifact/{found['id']}"

    def press_run(self, deployment: str, **parameters: Any) -> str:
        """Press “Quick run” on a deployment; return the run's id."""
        known = self.api("GET", f"/deployments/name/{deployment}/{deployment}")
        made = self.api("POST", f"/deployments/{known['id']}/create_flow_run", parameters=parameters)
        return str(made["id"])

    # Mishaps --------------------------------------------------------------------------------------

    def kill(self, part: str) -> None:
        """Kill a part of the stack, all of its processes, without a word."""
        for pid in pids(self.root, part):
            os.kill(pid, signal.SIGKILL)
        until(f"the end of {part}", lambda: not pids(self.root, part))

    def up(self) -> None:
        """Bring back whatever of the stack does not run."""
        up(self.root)

    def prefect_tables(self) -> Iterator[tuple[str, str]]:
        """Yield every row of every table that Prefect keeps, as text, with the table's name."""
        with administrator(Place(self.root), "prefect") as connection:
            tables = connection.execute(
                "select tablename from pg_tables where schemaname = 'public'"
            ).fetchall()
            for (table,) in tables:
                for (row,) in connection.execute(f'select t::text from "{table}" t'):  # type: ignore[arg-type]
                    yield table, row

    def prefect(self, statement: str, *values: object) -> None:
        """Change rows behind Prefect's back, as time would."""
        with administrator(Place(self.root), "prefect") as connection:
            connection.execute(statement, values)  # type: ignore[arg-type]

    def wipe_prefect(self) -> None:
        """Lose Prefect's database, and give it an empty one."""
        with administrator(Place(self.root), "postgres") as connection:
            connection.execute("drop database prefect with (force)")
            connection.execute("create database prefect owner prefect")


@contextmanager
def live_office(root: Path, authority: Authority) -> Iterator[Live]:
    """Bring the whole stack up with the sample office and all deployments, and take it down."""
    try:
        # A short lease, so that what a killed worker held is free soon; small chunks, so that there are several.
        said = {"HOSO_LEASE_SECONDS": "6", "HOSO_BATCH_CHUNK": "2"}
        settings = Settings.read(up(root, settings=said), session_file=root / "desks" / "nobody")
        parts = Services(settings)
        for name in ("database", "clock", "work", "archive", "mail", "portal"):
            getattr(parts, name)
        live = Live(
            root=root,
            settings=settings,
            authority=authority,
            parts=parts,  # type: ignore[arg-type]  The real tokens, where other tests have some in memory.
            devices={},
            keys={},
            scan=small_scan(),
        )
        tokens = settings.trust_anchors.parent / "tokens.json"
        with using(parts):
            assert live.type("procedure", "load").code == 0
            assert live.type("office", "load", IMAGES / "office.yaml", "--keys", tokens).code == 0
            deployed = live.hoso("deploy")
            assert deployed.code == 0, deployed.err
            try:
                yield live
            finally:
                live.end()
        parts.database.close()
    finally:
        down(root, patience=1)
