"""A morning at the office: dossiers at most of the places where they can wait, two late, one nearly late, one ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tasks.appointment.acts import cancel
from tasks.certification.examining import ask_for_supplement, stop
from tasks.certification.receiving import Receipt, receive
from tasks.certification.scanning import Presented
from tasks.signing.acts import leave_out
from tests.flows.live import CANARIES, IDENTITY, OFFICE, Live, until
from tests.world import somebody

#: What a batch of the day carries on.
IN_A_BATCH = 4


@dataclass(frozen=True, kw_only=True)
class Morning:
    """The codes of the dossiers, by what each is there for."""

    booked: tuple[str, ...]
    late: tuple[str, ...]
    near: str
    asked: str
    unpaid: str
    left_out: str
    stopped: str
    cancelled: str
    archived: str
    batched: tuple[str, ...]
    batch: str

    @property
    def all(self) -> tuple[str, ...]:
        """Every one of them."""
        alone = (
            self.near,
            self.asked,
            self.unpaid,
            self.left_out,
            self.stopped,
            self.cancelled,
            self.archived,
        )
        return (*self.booked, *self.late, *self.batched, *alone)


def live_through(office: Live) -> Morning:
    """Let people act until the office looks like one in the morning, and Prefect shows all of it."""
    clerk = office.officer(OFFICE)
    archived = office.receive(2)
    office.waits(archived, "AwaitingSignature")
    office.sign(archived)
    batched = tuple(_for_the_batch(office) for _ in range(IN_A_BATCH))
    booked = tuple(_today(office, n) for n in (0, 0, 1))
    late, near = (office.receive(), office.receive(2)), office.receive()
    asked, left_out, stopped, unpaid, cancelled = (
        office.receive(), office.receive(2), office.receive(), office.book(), office.book(),
    )  # fmt: skip
    cancel(cancelled, by=clerk)
    scan = Presented(kind="Giấy khai sinh", files=(("1.jpg", office.scan),))
    receive(unpaid, [scan], Receipt(), by=clerk)
    for code in (*late, near, asked, left_out, stopped):
        office.waits(code, "AwaitingSignature")
    ask_for_supplement(asked, "Thiếu trang 2.", by=clerk)
    stop(stopped, "Chờ xác minh.", by=clerk)
    for ordinal in (1, 2):
        leave_out(left_out, ordinal, "Dấu mờ.", by=office.officer(OFFICE, "ha", "official"))
    for code, due in ((late[0], -26), (late[1], -3), (near, 2)):
        office.put(
            "update dossier set due_at = now() + :d, opened_at = opened_at - interval '5 days' where code = :c",
            d=timedelta(hours=due),
            c=code,
        )
    batch = office.press_run("certification-batch", office=OFFICE)
    office.waits(archived, "AwaitingArchive")
    assert office.type("archive", archived).code == 0
    office.waits(archived, "Archived")
    until("the batch", lambda: office.api("GET", f"/flow_runs/{batch}")["state_type"] == "COMPLETED")
    morning = Morning(
        booked=booked, late=late, near=near, asked=asked, unpaid=unpaid, left_out=left_out, stopped=stopped,
        cancelled=cancelled, archived=archived, batched=batched, batch=batch,
    )  # fmt: skip
    office.shown(*morning.all)
    for deployment in ("board", "day-sheet"):
        run = office.press_run(deployment)
        until(f"the end of {deployment}", lambda r=run: _ended(office, r))  # type: ignore[misc]
    return morning


def _today(office: Live, ahead: int) -> str:
    """Book one of the next slots, which are today's but before midnight."""
    applicant = somebody(identity=f"{IDENTITY}9{ahead}{next(office._codes):02d}"[:12], **CANARIES)
    return office.booked(OFFICE, office.slot(OFFICE, ahead), applicant=applicant)


def _for_the_batch(office: Live) -> str:
    """Receive a dossier that waits for a batch; the warm worker leaves it alone from the first moment."""
    with office.parts.database.together():
        code = office.receive()
        office.put("update outbox set batch_until = now() + interval '1 day' where dossier = :c", c=code)
    return code


def _ended(office: Live, run: str) -> bool:
    """Whether a run has ended well; fails when it ended otherwise."""
    found = office.api("GET", f"/flow_runs/{run}")
    assert found["state_type"] not in ("FAILED", "CRASHED", "CANCELLED"), found["state"]
    return bool(found["state_type"] == "COMPLETED")
