"""
Lives of dossiers that never were: made by chance, put into the tables, and counted a second time, apart from the code.

What happened is a list of status codes with moments, and of promised times with moments. The second count knows
nothing of the first: it walks through each life up to the end of a period.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from infra.clock import HANOI
from tests.world import World

FIRST = datetime(2026, 1, 15, tzinfo=HANOI)


@dataclass
class Lived:
    """One life: what happened when, and what was promised from when on."""

    code: str
    channel: str
    received: datetime
    events: list[tuple[int, datetime]]
    promises: list[tuple[datetime, datetime]]
    stopped_for_good: datetime | None = None
    ways: list[str] = field(default_factory=list)

    def column(self, begins: datetime, ends: datetime) -> tuple[str, str] | None:
        """How it came and where it is counted in a period; `None`: not at all."""
        if self.received >= ends:
            return None
        came = self.channel if self.received >= begins else "carried_over"
        if self.stopped_for_good and self.stopped_for_good < ends:
            return None if self.stopped_for_good < begins else (came, "stopped")
        by_then = [(code, at) for code, at in self.events if at < ends]
        due = [until for at, until in self.promises if at < ends][-1]
        still: datetime | None = None
        for code, at in by_then:
            if code in (7, 9):
                if at < begins:
                    return None
                ready = still or at
                if ready > due:
                    return came, "late"
                early = ready.astimezone(HANOI).date() < due.astimezone(HANOI).date()
                return came, "early" if early else "on_time"
            still = (still or at) if code in (5, 6, 8) else None
        if still:
            return came, "paused_late" if due < still else "paused"
        return came, "running_late" if due < ends else "running"


def make_lives(office: str, count: int, seed: int = 5) -> list[Lived]:
    """Return lives over half a year: in time and late, paused, withdrawn, stopped for good, still going on."""
    rng = random.Random(seed)

    def later(at: datetime, hours: float) -> datetime:
        return at + timedelta(hours=rng.uniform(0.1, hours))

    lives = []
    for n in range(count):
        at = FIRST + timedelta(hours=rng.uniform(0, 24 * 170))
        due = datetime.combine(at.date() + timedelta(days=rng.choice((0, 1, 2, 20))), time(17), HANOI)
        one = Lived(
            code=f"{office}-260101-{n:04}",
            channel=rng.choice(("portal", "counter", "post")),
            received=at,
            events=[(1, later(at, -50)), (2, at)],
            promises=[(at, due)],
        )
        lives.append(one)
        end = rng.random()
        while rng.random() < 0.4:
            pause = rng.choice((5, 6, 58))
            for code in (5, 8) if pause == 58 else (pause,):
                one.events.append((4, at := later(at, 5))) if one.events[-1][0] == 2 else None
                one.events.append((code, at := later(at, 60)))
            if end < 0.15:
                break
            one.events.append((4, at := later(at, 400)))
            one.promises.append((at, due := max(due, at + timedelta(days=1))))
        paused = one.events[-1][0] in (5, 6, 8)
        if paused and one.events[-1][0] == 5 and rng.random() < 0.6:
            one.events.append((rng.choice((7, 8)), at := later(at, 30)))
            one.stopped_for_good = at if one.events[-1][0] == 8 else None
        elif not paused and end > 0.25:
            one.events.append((4, at := later(at, 5)))
            one.events.append((9, at := later(at, 70)))
            one.events.append((10, at := later(at, 3)))
            one.ways = rng.choice((["email"], ["paper"], ["email", "paper"], ["portal"]))
    return lives


def put_lives(world: World, office: str, lives: list[Lived], *, until: datetime) -> None:
    """Put what happened before a moment into the tables, as it would stand there then; again with a later moment."""
    stages = {1: "Booked", 2: "Received", 4: "Received", 5: "SupplementAsked", 6: "PaymentDue", 7: "Withdrawn", 8: "Stopped", 9: "Signed", 10: "Returned"}  # fmt: skip
    with world.owner() as connection, connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")  # The triggers would write today's moments.
        for table, column in (
            ("sent_copy", "dossier"), ("status_report", "dossier"), ("promised_time", "subject"), ("dossier", "code")
        ):  # fmt: skip
            cursor.execute(f"delete from {table} where {column} like %s", (f"{office}-260101-%",))
        for one in lives:
            seen = [(code, at) for code, at in one.events if at < until]
            if not seen:
                continue
            promised = [p for p in one.promises if p[0] < until]
            gone = one.stopped_for_good if one.stopped_for_good and one.stopped_for_good < until else None
            last = seen[-1][0]
            cursor.execute(
                "insert into dossier (code, office, resolving_office, procedure, procedure_version, stage, portal_code, channels,"
                " opened_by, opened_at, walk_in, came_by, received_at, due_at, extended_by, supplements, confidential, ended_at,"
                " archive_asked) values (%s, %s, %s, 'e-copy', 1, %s, %s, '[]', 'x', %s, false, %s, %s, %s, 0, 0, false, %s, false)",
                (one.code, office, office, stages[last], last, seen[0][1], one.channel,
                 one.received if one.received < until else None, promised[-1][1] if promised else None,
                 gone or (seen[-1][1] if last == 7 else None)),
            )  # fmt: skip
            cursor.executemany(
                "insert into status_report (dossier, sequence, code, at, attempts) values (%s, %s, %s, %s, 0)",
                [(one.code, n, code, at) for n, (code, at) in enumerate(seen)],
            )
            cursor.executemany(
                "insert into promised_time (subject, at, due_at) values (%s, %s, %s)",
                [(one.code, at, due) for at, due in promised],
            )
            if last == 10:
                cursor.executemany(
                    "insert into sent_copy (dossier, ordinal, channel, errand, address_kind, part, sha256, size, outcome, at)"
                    " values (%s, 1, %s, 1, 'x', 'result', 'x', 1, 'accepted', %s)",
                    [(one.code, way, seen[-1][1]) for way in one.ways],
                )
        connection.commit()
