"""
Figures for a monitoring system, in Prometheus's text format; numbers by office, stage and part, nothing personal.

They are read from the database when they are asked for, so whichever process answers says the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, text

from infra.errors import Forbidden, Unavailable
from infra.services import services, using

log = logging.getLogger("hoso.health")

#: One figure: the values of its labels, and the number.
Figure = tuple[tuple[str, ...], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One figure's name, what it says, what it is divided by, and the query that gives it."""

    name: str
    says: str
    labels: tuple[str, ...]
    query: str


GAUGES: tuple[Gauge, ...] = (
    Gauge(
        name="hoso_dossiers_open",
        says="Dossiers whose life has not ended, by office and stage.",
        labels=("office", "stage"),
        query="select office, stage, count(*) from dossier where ended_at is null group by 1, 2",
    ),
    Gauge(
        name="hoso_dossiers_late",
        says="Open dossiers whose time has passed and does not stand still, by office.",
        labels=("office",),
        query="select office, count(*) from dossier where ended_at is null and paused_at is null"
        " and due_at < clock_timestamp() and stage in ('Received', 'Certified', 'AwaitingSignature',"
        " 'ReturnedToExaminer', 'AwaitingSeal') group by 1",
    ),
    Gauge(
        name="hoso_oldest_waiting_seconds",
        says="Seconds since something was last asked of the open dossier of a stage that waits longest.",
        labels=("stage",),
        query="select d.stage, max(extract(epoch from clock_timestamp() - o.asked_at)) from dossier d"
        " join outbox o on o.dossier = d.code where d.ended_at is null group by 1",
    ),
    Gauge(
        name="hoso_outbox_due",
        says="Dossiers that are due and that no worker is at.",
        labels=(),
        query="select count(*) from outbox where asked > done and not_before <= clock_timestamp()"
        " and (lease_until is null or lease_until < clock_timestamp())"
        " and (batch_until is null or batch_until <= clock_timestamp())",
    ),
    Gauge(
        name="hoso_outbox_oldest_due_seconds",
        says="Seconds for which the oldest of them is due; 0 when there is none.",
        labels=(),
        query="select coalesce(max(extract(epoch from clock_timestamp() - greatest(not_before, asked_at))), 0)"
        " from outbox"
        " where asked > done and not_before <= clock_timestamp()"
        " and (lease_until is null or lease_until < clock_timestamp())"
        " and (batch_until is null or batch_until <= clock_timestamp())",
    ),
    Gauge(
        name="hoso_leases_held",
        says="Dossiers that workers are at now.",
        labels=(),
        query="select count(*) from outbox where lease_until > clock_timestamp()",
    ),
    Gauge(
        name="hoso_dossiers_troubled",
        says="Dossiers that wait because something went wrong: for a person, an engineer, or a service.",
        labels=("kind",),
        query="select case when last_error like 'needs attention: %' then 'person'"
        " when last_error like 'broken: %' then 'engineer' else 'service' end, count(*)"
        " from outbox where last_error is not null group by 1",
    ),
    Gauge(
        name="hoso_notices_owed",
        says="Messages to applicants that were not sent yet, by how they stand.",
        labels=("state",),
        query="select state, count(*) from notice where state not in ('sent', 'accepted') group by 1",
    ),
    Gauge(
        name="hoso_batches_stopped",
        says="Batches of the last two days that stopped and wait for somebody.",
        labels=(),
        query="select count(*) from batch where paused_by = 0 and cause is not null"
        " and begun_at > clock_timestamp() - interval '2 days'",
    ),
    Gauge(
        name="hoso_history_entries",
        says="Entries of the history.",
        labels=(),
        query="select size from history_head",
    ),
    Gauge(
        name="hoso_history_uncovered_seconds",
        says="Seconds for which the oldest entry waits that no stamped checkpoint in the archive covers.",
        labels=(),
        query="select coalesce((select extract(epoch from clock_timestamp() - e.at) from history_entry e"
        " where e.position ="
        " (select coalesce(max(size), 0) from history_checkpoint where version_id is not null)), 0)",
    ),
    Gauge(
        name="hoso_certificate_ends_seconds",
        says="Seconds until the certificate of an office's agency, or the next of its officials, ends.",
        labels=("office", "holder"),
        query="select office, case when holder = '' then 'agency' else 'official' end,"
        " min(extract(epoch from not_after - clock_timestamp())) from certificate"
        " where state = 'active' and ended_at is null and not_after is not null group by 1, 2",
    ),
    Gauge(
        name="hoso_logins_open",
        says="Logins that count now.",
        labels=(),
        query="select count(*) from login where ended_at is null and expires_at > clock_timestamp()",
    ),
    Gauge(
        name="hoso_wrong_passwords",
        says="Wrong passwords within ten minutes.",
        labels=(),
        query="select coalesce(sum(failures), 0) from login_try"
        " where last_at > clock_timestamp() - interval '10 minutes'",
    ),
    Gauge(
        name="hoso_maintenance",
        says="1 while the system is being maintained, else 0.",
        labels=(),
        query="select count(*) from maintenance where ended_at is null",
    ),
    Gauge(
        name="hoso_check_state",
        says="What was found last of a part: 0 ok, 1 a warning, 2 failing, -1 not looked at.",
        labels=("check", "machine"),
        query="select name, machine, case state when 'ok' then 0 when 'warning' then 1"
        " when 'failing' then 2 else -1 end from health_check",
    ),
    Gauge(
        name="hoso_check_age_seconds",
        says="Seconds since a machine looked at its parts.",
        labels=("machine",),
        query="select machine, min(extract(epoch from clock_timestamp() - at)) from health_check group by 1",
    ),
)

#: Whether the database gave the figures; the only one that is there while it does not answer.
UP = "hoso_up"
#: What a warm worker counts itself, and gives where it listens (`HOSO_METRICS_LISTEN`).
LEGS = Counter(
    "hoso_worker_legs",
    "Legs that this worker carried, by how they ended: done, put off, for a person, broken.",
    ["outcome"],
    registry=None,
)
NAMES: tuple[str, ...] = (UP, *(gauge.name for gauge in GAUGES), "hoso_worker_legs_total")


class Figures(Collector):
    """Gives every figure, read anew each time."""

    def __init__(self, read: Callable[[], dict[str, list[Figure]]] | None = None) -> None:
        """Remember how figures are read; by default from the database."""
        self._read = read or read_figures

    def collect(self) -> Iterable[Metric]:
        """Yield the figures, or only that there are none now."""
        try:
            found = self._read()
        except Unavailable:
            yield GaugeMetricFamily(UP, _UP_SAYS, value=0)
            return
        yield GaugeMetricFamily(UP, _UP_SAYS, value=1)
        yield from _families(found)


_UP_SAYS = "1 while the database gives the figures, else 0."


def read_figures() -> dict[str, list[Figure]]:
    """Return every figure by its name, of one moment; raises `Unavailable`."""
    with services().database.transaction() as session:
        connection = session.connection()
        connection.execute(text("set local statement_timeout = '20s'"))
        return {gauge.name: _figures(connection, gauge) for gauge in GAUGES}


def _figures(connection: Connection, gauge: Gauge) -> list[Figure]:
    """Return the figures of one name."""
    rows = connection.execute(text(gauge.query))
    return [(tuple(str(cell) for cell in row[:-1]), float(row[-1])) for row in rows]


def _families(found: dict[str, list[Figure]]) -> Iterator[Metric]:
    """Yield figures as the library writes them."""
    for gauge in GAUGES:
        family = GaugeMetricFamily(gauge.name, gauge.says, labels=gauge.labels)
        for labels, value in found[gauge.name]:
            family.add_metric(list(labels), value)
        yield family


def count_leg(error: Exception | None) -> None:
    """Count a leg of this worker by how it ended."""
    if error is None:
        outcome = "done"
    elif isinstance(error, Unavailable):
        outcome = "put off"
    else:
        outcome = "for a person" if isinstance(error, Forbidden) else "broken"
    LEGS.labels(outcome=outcome).inc()


def serve_figures(place: str) -> Callable[[], None]:
    """
    Give every figure, and what this process counts, over HTTP at `host:port`; return what ends that.

    An empty place gives them nowhere. A place that is taken is said in the log: work goes on without.
    """
    host, _, port = place.rpartition(":")
    if not port.isdigit():
        return lambda: None
    parts = services()  # A request is answered in a thread that knows of no others.

    def read() -> dict[str, list[Figure]]:
        """Read the figures from the parts that were in use when this began."""
        with using(parts):
            return read_figures()

    made = registry(read)
    made.register(LEGS)
    try:
        server, thread = start_http_server(int(port), host or "127.0.0.1", made)
    except OSError as error:
        log.warning("figures cannot be given at %s: %s", place, type(error).__name__)
        return lambda: None

    def end() -> None:
        """Listen no more."""
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def registry(read: Callable[[], dict[str, list[Figure]]] | None = None) -> CollectorRegistry:
    """Return a registry that holds our figures and nothing of this process."""
    made = CollectorRegistry(auto_describe=False)
    made.register(Figures(read))
    return made


def exposition() -> bytes:
    """Return every figure in Prometheus's text format; with the database away only `hoso_up 0`."""
    return generate_latest(registry())
