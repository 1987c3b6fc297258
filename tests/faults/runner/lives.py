"""What becomes of each dossier: short programs of acts, of which the seed chooses one for each applicant."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.runner.people import Life
from tests.faults.runner.site import NOT_NOW, REFUSED


def live(life: Life) -> None:
    """Live the life that was chosen."""
    try:
        LIVES[life.kind][1](life)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        life.office.site.journal.tell(
            "finding", what="the runner broke", life=life.number, plan=life.kind, said=said
        )


def _walk_in(life: Life) -> None:
    if life.walk_in(1 + (life.random.random() < 0.3)):
        life.end()


def _booked(life: Life) -> None:
    if not life.book():
        return
    if life.random.random() < 0.4:
        life.act("move", life.code, *life._slot(life.number + 7), by="cong")
    life.must_be_refused("pay", life.code, "--receipt", "BL-0")
    if life.act("receive", life.code, *life.originals(), done=("PaymentDue", "Received")):
        life.must_be_refused("archive", life.code)
        if life.act(
            "pay",
            life.code,
            "--receipt",
            f"BL-{life.number}",
            done=("Received", "Certified", "AwaitingSignature"),
        ):
            life.end()


def _portal(life: Life) -> None:
    if life.walk_in(account=True):
        life.end()


def _cancelled(life: Life) -> None:
    if life.book():
        life.act("cancel", life.code, by="cong", done=("Cancelled",))


def _declined(life: Life) -> None:
    if life.book():
        life.act("decline", life.code, "--reason", "R1", "--why", life.why(), done=("Declined",))


def _one_declined(life: Life) -> None:
    if life.walk_in(2) and life.wait("AwaitingSignature"):
        life.act("decline", life.code, 2, "--reason", "R2", "--why", life.why())
        life.end()


def _withdrawn(life: Life) -> None:
    if life.walk_in() and life.wait("AwaitingSignature"):
        life.act("withdraw", life.code, "--why", life.why(), done=("Withdrawn",))


def _supplement(life: Life) -> None:
    if (
        life.walk_in()
        and life.wait("AwaitingSignature")
        and (
            life.act("ask", life.code, "--missing", life.why(), done=("SupplementAsked",))
            and life.random.random() < 0.8
        )
    ):
        life.act(
            "supply",
            life.code,
            *life.originals(),
            done=("Received", "PaymentDue", "Certified", "AwaitingSignature"),
        )
        life.wait("AwaitingSignature", "PaymentDue")
        if life.office.stage(life.code) == "PaymentDue":
            life.act(
                "pay",
                life.code,
                "--receipt",
                f"BL-{life.number}b",
                done=("Received", "AwaitingSignature"),
            )
        life.end()


def _stopped(life: Life) -> None:
    if life.walk_in() and life.wait("AwaitingSignature"):
        life.act("stop", life.code, "--why", life.why(), done=("Stopped",))
        if life.random.random() < 0.7:
            life.act(
                "resume", life.code, "--why", life.why(), done=("Received", "Certified", "AwaitingSignature")
            )
            life.end()


def _left_out(life: Life) -> None:
    if life.walk_in(2) and life.wait("AwaitingSignature"):
        life.act("leave-out", life.code, 1, "--why", life.why(), by="ha", done=("ReturnedToExaminer",))
        life.act("examine", life.code, 1, done=("Received", "Certified", "AwaitingSignature"))
        life.end()


def _corrected(life: Life) -> None:
    if life.walk_in() and life.wait("AwaitingSignature"):
        life.act("correct", life.code, 1, "--kind", life.file("kind.txt", "Giấy khai sinh"))
        life.end()


def _hostile(life: Life) -> None:
    """Files that attack whoever reads them: each is refused, the counter goes on, and then a good one comes."""
    if not life.book():
        return
    for file in life.random.sample(list(life.hostile), k=min(2, len(life.hostile))):
        said = life.office.site.hoso(
            "receive", life.code, "--paid", "BL-9", "--original", "Giấy", file, by="mai"
        )
        life.office.site.journal.tell("fault", row="F18", what="hostile-file", file=file.name, code=said.code)
        if said.code not in (REFUSED, NOT_NOW):
            life.office.site.journal.tell(
                "finding", what="a hostile file was not refused", file=file.name, code=said.code
            )
    if life.act(
        "receive",
        life.code,
        "--paid",
        "BL-1",
        *life.originals(),
        done=("Received", "Certified", "AwaitingSignature"),
    ):
        life.end()


def _mailbox(name: str) -> Callable[[Life], None]:
    def live(life: Life) -> None:
        if life.walk_in(mailbox=name):
            life.end()

    return live


def _no_show(life: Life) -> None:
    """A booked slot that is over: office data are moved back, never a clock."""
    if life.book():
        with life.office.site.owner() as connection:
            connection.execute(
                "update appointment set starts_at = starts_at - interval '30 days', ends_at = ends_at - interval '30 days'"
                " where dossier = %s", [life.code])  # fmt: skip
        life.act("no-shows", by="nobody")
        life.wait("NoShow")


#: Each life's share of a hundred, and its program.
LIVES: dict[str, tuple[int, Callable[[Life], None]]] = {
    "walk-in": (24, _walk_in),
    "booked": (14, _booked),
    "portal": (12, _portal),
    "cancelled": (4, _cancelled),
    "declined": (4, _declined),
    "one-declined": (6, _one_declined),
    "withdrawn": (4, _withdrawn),
    "supplement": (6, _supplement),
    "stopped": (6, _stopped),
    "left-out": (6, _left_out),
    "corrected": (5, _corrected),
    "hostile": (5, _hostile),
    "no-show": (2, _no_show),
    "mail-put-off": (1, _mailbox("450")),
    "mail-refused": (1, _mailbox("550")),
}
