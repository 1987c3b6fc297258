"""Looks at every part that the office needs, at once and within a bounded time, and keeps what was found."""

from __future__ import annotations

import contextvars
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert

from infra.database import now
from infra.errors import Forbidden, HosoError
from infra.services import services
from tasks.health import inside, outside
from tasks.health.rules import Check, Found, State, skipped
from tasks.health.tables import HealthCheckRow

log = logging.getLogger("hoso.health")

#: Seconds after which a part counts as one that does not answer.
LIMIT = 15.0

Look = Callable[[], Found]

#: What to do about a part that does not answer, where the error does not say it.
_REMEDIES: Mapping[str, str] = {
    "database": "Start PostgreSQL, and look at HOSO_DATABASE_URL and the way there; acts wait until then.",
    "store": "Start the store, and look at HOSO_S3_ENDPOINT; “hoso probe” tries each attack by itself.",
    "token": "Look at the token and its driver (HOSO_PKCS11_MODULE); nothing is sealed meanwhile.",
    "certificates": "Look at the database first.",
    "tsa-first": "Look at HOSO_TSA_URL and the way there; the second authority is asked meanwhile.",
    "tsa-second": "Look at HOSO_TSA_SECOND_URL and the way there; nobody stands in for the first one now.",
    "revocation": "Look at HOSO_REVOCATION_HOSTS, HOSO_REVOCATION_REWRITE, the way there; nothing is signed now.",
    "mail": "Look at HOSO_SMTP_HOST and the way there; messages wait and are sent later.",
    "prefect": "Start the Prefect server; dossiers go on without it, schedules do not.",
    "clocks": "Look at the database first.",
    "workers": "Look at the database first.",
    "backlog": "Look at the database first.",
    "batches": "Look at the database first.",
    "offices": "Look at the database first.",
    "checkpoint": "Look at the database first.",
    "backup": "Look at HOSO_BACKUP_DIR on the machine that takes the backups.",
    "disk": "Look at the folders of HOSO_VAR_DIR and HOSO_BACKUP_DIR.",
    "logins": "Look at the database first.",
    "maintenance": "Look at the database first.",
}

_ALONE: Mapping[str, Look] = {
    "tsa-first": outside.look_at_authority(0),
    "tsa-second": outside.look_at_authority(1),
    "mail": outside.look_at_mail,
    "prefect": outside.look_at_prefect,
    "disk": inside.look_at_disk,
    "store": outside.look_at_store,
}
_WITH_DATABASE: Mapping[str, Look] = {
    "token": outside.look_at_token,
    "certificates": inside.look_at_certificates,
    "revocation": outside.look_at_revocation,
    "clocks": outside.look_at_clocks,
    "workers": inside.look_at_workers,
    "backlog": inside.look_at_backlog,
    "batches": inside.look_at_batches,
    "offices": inside.look_at_offices,
    "checkpoint": inside.look_at_checkpoint,
    "backup": inside.look_at_backup,
    "logins": inside.look_at_logins,
    "maintenance": inside.look_at_maintenance,
}
#: Every part, in the order in which people are told of them.
NAMES: tuple[str, ...] = tuple(_REMEDIES)


def examine(*, limit: float = LIMIT) -> list[Check]:
    """
    Return what is found of every part; each look has `limit` seconds, and all of them go on at once.

    What needs the database is skipped when that does not answer. Nothing raises: a look that does is what
    was found.
    """
    database = _all({"database": outside.look_at_database}, limit)
    found = dict(database)
    if database["database"].state is State.FAILING:
        found |= dict.fromkeys(_WITH_DATABASE, skipped("the database does not answer"))
        found |= _all(_ALONE, limit)
    else:
        found |= _all({**_ALONE, **_WITH_DATABASE}, limit)
    return [
        Check(
            name=name,
            state=found[name].state,
            cause=found[name].cause,
            remedy=found[name].remedy
            or ("" if found[name].state in (State.OK, State.SKIPPED) else _REMEDIES[name]),
        )
        for name in NAMES
    ]


def keep(checks: Sequence[Check]) -> datetime:
    """Keep what this machine found, in the place of what it found before; return when that was."""
    machine = socket.gethostname()
    with services().database.transaction() as session:
        moment = now(session)
        for one in checks:
            row = insert(HealthCheckRow).values(
                name=one.name,
                machine=machine,
                at=moment,
                state=str(one.state),
                cause=one.cause,
                remedy=one.remedy,
            )
            changed = {name: row.excluded[name] for name in ("at", "state", "cause", "remedy")}
            session.connection().execute(
                row.on_conflict_do_update(index_elements=["name", "machine"], set_=changed)
            )
    return moment


def _all(looks: Mapping[str, Look], limit: float) -> dict[str, Found]:
    """Look at parts at once, each in a thread that is left behind when it takes too long."""
    found: dict[str, Found] = {}

    def one(name: str, look: Look) -> None:
        found[name] = _tried(name, look)

    threads = []
    for name, look in looks.items():
        context = contextvars.copy_context()  # The parts in use must be seen in the thread, too.
        thread = threading.Thread(
            target=context.run, args=(one, name, look), name=f"look-{name}", daemon=True
        )
        thread.start()
        threads.append(thread)
    deadline = time.monotonic() + limit
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = Found(state=State.FAILING, cause=f"no answer within {limit:.0f} s")
    return {name: found.get(name, late) for name in looks}


def _tried(name: str, look: Look) -> Found:
    """Return what a look finds, or what it raised."""
    try:
        return look()
    except Forbidden as error:
        return Found(state=State.FAILING, cause=error.message, remedy=error.way_out)
    except HosoError as error:
        return Found(state=State.FAILING, cause=str(error)[:300])
    except Exception as error:
        # Whatever it was, it is what was found; the log has the rest.
        log.warning("the look at %s: %s", name, type(error).__name__, exc_info=error)
        return Found(state=State.FAILING, cause=f"it does not answer as it should ({type(error).__name__})")
