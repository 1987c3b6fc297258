"""
Prefect's server on PostgreSQL, and the two kinds of workers.

Prefect is run as it comes, in processes of its own: nothing here imports it. Its background services look
less often than by default, because an idle office should not keep a processor busy.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.settings import read_secret
from infra.stack.layout import PROJECT, Place, write_private
from infra.stack.parts import LOOPBACK, Part, for_programs, program
from infra.stack.process import Command

#: The work pool that the deployments name.
POOL = "hoso"

#: What the worker in the stack is called in Prefect.
WORKER = "stack"

#: How often Prefect's services look, in seconds; the comment says what waits for them.
_LOOPS = {
    "SCHEDULER": "60",  # new runs of schedules; a new deployment is looked at at once, see below
    "LATE_RUNS": "15",  # when a run is shown as late
    "PAUSE_EXPIRATIONS": "60",  # our pauses never expire
    "CANCELLATION_CLEANUP": "60",
    "REPOSSESSOR": "60",  # slots held by dead runs
    "CLEANUP_RECONCILER": "60",
    "FOREMAN": "30",  # when a silent worker is shown as offline
}


#: Prefect asks for the names of all time zones whenever it reads a schedule. Without folders, Python takes them from
#: the list of the package tzdata instead of opening six hundred files: a third of what the server did.
_ZONES = {"PYTHONTZPATH": ""}


class PrefectServer(Part):
    """The server with its API and the page that supervisors look at."""

    name = "prefect"
    needs = ("database",)
    ports = ("prefect",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to the API and to the page."""
        return {"HOSO_PREFECT_API_URL": f"{_origin(place)}/api", "HOSO_PREFECT_UI_URL": _origin(place)}

    def prepare(self, place: Place) -> None:
        """Write the password where the database driver looks for it; no command line or URL holds it."""
        place.folder("prefect")
        password = read_secret(place.secret("prefect"))
        write_private(
            _password_file(place), f"{LOOPBACK}:{place.port('database')}:prefect:prefect:{password}\n"
        )

    def command(self, place: Place) -> Command:
        """Run the server in the foreground; its first start makes its tables, which takes ten seconds."""
        port = str(place.port("prefect"))
        return Command(
            argv=(sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", port),
            environment=_server_settings(place),
            folder=place.folder("prefect"),
        )

    def ready(self, place: Place) -> bool:
        """Tell whether the API answers and reaches its database."""
        return _get(place, "GET", "/api/ready") is not None


class PoolWorker(Part):
    """A worker that starts a process for each run of the pool."""

    name = "pool-worker"
    needs = ("prefect", "database", "store", "token")

    def prepare(self, place: Place) -> None:
        """Make its folder."""
        place.folder("pool-worker")
        place.folder("pool-worker", "tmp")

    def command(self, place: Place) -> Command:
        """Run the worker; it makes the pool if nobody has, and hands our settings to each run."""
        own = {
            "PREFECT_HOME": str(place.folder("pool-worker")),
            # It insists on a folder of one fixed name, which in /tmp may be another user's.
            "TMPDIR": str(place.folder("pool-worker", "tmp")),
            "PREFECT_API_URL": f"{_origin(place)}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "5",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "DO_NOT_TRACK": "1",
            **_ZONES,
        }
        options = ("--pool", POOL, "--type", "process", "--name", WORKER)
        return Command(
            argv=(sys.executable, "-m", "prefect", "worker", "start", *options),
            environment=for_programs(place) | own,
            folder=PROJECT,
        )

    def ready(self, place: Place) -> bool:
        """Tell whether the server has heard of this worker, and not only of one that was killed before."""
        found = _get(place, "POST", f"/api/work_pools/{POOL}/workers/filter")
        started = place.pid_file(self.name)
        if not found or not started.exists():
            return False
        since = datetime.fromtimestamp(started.stat().st_mtime, UTC)
        heard = [worker for worker in found if worker["name"] == WORKER and worker["status"] == "ONLINE"]
        return any(datetime.fromisoformat(worker["last_heartbeat_time"]) > since for worker in heard)


class WarmWorker(Part):
    """The worker that carries on with a dossier the moment somebody has acted."""

    name = "warm-worker"
    needs = ("database", "store", "token")

    def command(self, place: Place) -> Command:
        """Run the application's own command."""
        return Command(argv=(program("hoso"), "work"), environment=for_programs(place), folder=PROJECT)

    def ready(self, place: Place) -> bool:
        """Say yes: it is ready as long as it runs, and its work waits in the database meanwhile."""
        return True


def _origin(place: Place) -> str:
    """Return where a browser finds the server."""
    return f"http://{LOOPBACK}:{place.port('prefect')}"


def _password_file(place: Place) -> Path:
    """Return the file, in PostgreSQL's own format, that holds Prefect's password."""
    return place.root / "secrets" / "prefect_pgpass"


def _server_settings(place: Place) -> dict[str, str]:
    """Return the server's environment."""
    database = f"postgresql+asyncpg://prefect@{LOOPBACK}:{place.port('database')}/prefect"
    loops = {f"PREFECT_SERVER_SERVICES_{name}_LOOP_SECONDS": seconds for name, seconds in _LOOPS.items()}
    return loops | {
        "PREFECT_HOME": str(place.folder("prefect")),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PGPASSFILE": str(_password_file(place)),
        "PREFECT_API_URL": f"{_origin(place)}/api",
        "PREFECT_UI_URL": _origin(place),
        # The page asks wherever it came from, so that it also works behind a proxy.
        "PREFECT_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The second page of Prefect drops state names that it does not know, and ours are what supervisors look for.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Only the page of this server may speak to it from a browser.
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": _origin(place),
        # Its feed of events tells again what the states of its runs say, in two thirds of the bytes that a dossier
        # took there; automations hear of events without it.
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "10",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        **_ZONES,
    }


def _get(place: Place, method: str, path: str) -> Any:
    """Return the server's JSON answer, or `None` if it has none that means success."""
    connection = http.client.HTTPConnection(LOOPBACK, place.port("prefect"), timeout=5)
    try:
        body = "{}" if method == "POST" else None
        connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return json.loads(content) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
