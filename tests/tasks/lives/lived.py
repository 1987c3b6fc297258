"""
Dossiers that live every kind of life, for recording: `python -m tests.tasks.lives.lived` records the release's file anew.

The office and the people are invented; its days are those of a commune's desk, with Tết and a make-up day.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from infra.clock import HANOI, SystemClock
from tasks.appointment.acts import cancel
from tasks.archival.steps import ask_for_archive
from tasks.certification.examining import (
    Refusal,
    ask_for_supplement,
    decline_dossier,
    decline_original,
    examine_again,
    pay,
    resume,
    stop,
    withdraw,
)
from tasks.certification.receiving import Receipt, receive, receive_walk_in, supply
from tasks.certification.scanning import Presented
from tasks.dossier.opening import Opening
from tasks.signing.acts import leave_out
from tasks.signing.steps import sign_original
from tasks.supervision.postponing import postpone
from tests.world import OFFICE, RETURN, VECTORS, World, small_scan, somebody

DESK = {day: yaml.safe_load(OFFICE.read_text(encoding="utf-8"))["hours"][1] for day in range(1, 6)}
DAYS = {
    "hours": DESK,
    "holidays": [
        "2027-01-01",
        "2027-02-05",
        "2027-02-08",
        "2027-02-09",
        "2027-02-10",
        "2027-02-11",
        "2027-04-30",
    ],
    "make_up": {"2027-02-13": DESK[1]},
}
EXTRACT = VECTORS / "procedures" / "extract.v1.yaml"


def office(world: World) -> str:
    """An office that works on working days."""
    return world.office(**DAYS)


def walked_in(world: World, at: str, originals: int = 1, procedure: str = "e-copy", **receipt: Any) -> str:
    """Receive somebody at the counter."""
    opening = Opening(office=at, procedure=procedure, applicant=somebody(), channels=())
    shown = [Presented(kind=f"Giấy {n}", files=((f"{n}.jpg", world.scan),)) for n in range(1, originals + 1)]
    return receive_walk_in(opening, shown, Receipt(**receipt), by=world.officer(at)).code


def signed(world: World, at: str, code: str, *, archived: bool = False) -> str:
    """Let the official sign everything, and carry the dossier to the citizen and, if asked, to the archive."""
    world.carry(code)
    for original in world.originals(code):
        if original.standing == "certified":
            assert sign_original(code, original.ordinal, world.signer(at))
    world.carry(code)
    if archived:
        ask_for_archive(code, by=world.officer(at))
        world.carry(code)
    return code


def cancelled(world: World, at: str) -> str:
    code = world.booked(at)
    cancel(code, by=world.officer(at))
    return code


def missed(world: World, at: str) -> str:
    code = world.booked(at)
    world.put("update appointment set starts_at = starts_at - interval '9 days', ends_at = ends_at - interval '9 days'"
              " where dossier = :c", c=code)  # fmt: skip
    assert world.type("no-shows").code == 0
    return code


def declined(world: World, at: str) -> str:
    code = world.booked(at)
    decline_dossier(code, Refusal.R3, "x", by=world.officer(at))
    return code


def usual(world: World, at: str) -> str:
    code = world.booked(at)
    shown = [Presented(kind=f"Giấy {n}", files=((f"{n}.jpg", world.scan),)) for n in (1, 2)]
    receive(code, shown, Receipt(), by=world.officer(at))
    pay(code, "BL-1", by=world.officer(at))
    return signed(world, at, code, archived=True)


def at_once(world: World, at: str) -> str:
    return signed(world, at, walked_in(world, at, paid="BL-1"), archived=True)


def extended(world: World, at: str) -> str:
    return signed(world, at, walked_in(world, at, 3, paid="BL-1", extended_by=2))


def supplemented(world: World, at: str) -> str:
    code = walked_in(world, at, paid="BL-1")
    ask_for_supplement(code, "trang 2", by=world.officer(at))
    supply(code, [Presented(kind="Trang 2", files=(("2.jpg", small_scan(seed=5)),))], by=world.officer(at))
    pay(code, "BL-2", by=world.officer(at))
    return signed(world, at, code)


def withdrawn(world: World, at: str) -> str:
    code = walked_in(world, at, paid="BL-1")
    world.carry(code)
    withdraw(code, "x", by=world.officer(at))
    return code


def stopped(world: World, at: str) -> str:
    code = walked_in(world, at, paid="BL-1")
    world.carry(code)
    stop(code, "x", by=world.officer(at))
    resume(code, "x", by=world.officer(at))
    return signed(world, at, code)


def left_out(world: World, at: str) -> str:
    code = walked_in(world, at, 2, paid="BL-1")
    world.carry(code)
    leave_out(code, 1, "x", by=world.officer(at, "ha", "official"))
    examine_again(code, 1, None, by=world.officer(at))
    return signed(world, at, code)


def one_declined(world: World, at: str) -> str:
    code = walked_in(world, at, 2, paid="BL-1")
    world.carry(code)
    decline_original(code, 1, Refusal.R1, "x", by=world.officer(at))
    return signed(world, at, code)


def all_declined(world: World, at: str) -> str:
    code = walked_in(world, at, paid="BL-1")
    decline_original(code, 1, Refusal.R6, "", by=world.officer(at))
    return code


def postponed(world: World, at: str) -> str:
    code = walked_in(world, at, paid="BL-1")
    world.carry(code)
    postpone(code, 2, "x", by=world.officer(at))
    return signed(world, at, code)


def extract(world: World, at: str) -> str:
    assert world.type("procedure", "load", EXTRACT).code == 0
    code = walked_in(world, at, procedure="extract", paid="BL-1")
    ask_for_supplement(code, "x", by=world.officer(at))
    supply(code, [], by=world.officer(at))
    return signed(world, at, code, archived=True)


def returned(world: World, at: str) -> str:
    """Another agency's result that goes back as it is, with the centre's block."""
    from infra.pdf.signing import sign_field

    signer = world.signer(at, "lam")
    content = sign_field(
        _form(), field="official", token=signer.token, image=signer.image,
        at=world.parts.clock.now().astimezone(HANOI), certify=False, name=None, location=None, reason=None, chain=world.parts.chain,
    )  # fmt: skip
    opening = Opening(office=at, procedure=RETURN, applicant=somebody(), channels=("email",))
    shown = [Presented(kind="Giấy phép", files=(("result.pdf", content),), pages=1)]
    code = receive_walk_in(opening, shown, Receipt(), by=world.officer(at)).code
    world.carry(code)
    ask_for_archive(code, by=world.officer(at))
    world.carry(code)
    return code


def _form() -> bytes:
    """A page with an empty signature field."""
    import pikepdf

    document = pikepdf.new()
    page = document.add_blank_page(page_size=(595, 842))
    page.Contents = document.make_stream(b"0.9 g 50 700 200 80 re f")
    field = pikepdf.Dictionary(
        Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Sig, T="official",
        Rect=pikepdf.Array([300, 200, 420, 260]), F=132, P=page.obj,
    )  # fmt: skip
    page.Annots = document.make_indirect(pikepdf.Array([document.make_indirect(field)]))
    document.Root.AcroForm = document.make_indirect(pikepdf.Dictionary(Fields=page.Annots, SigFlags=1))
    out = io.BytesIO()
    document.save(out, min_version="1.7")
    return out.getvalue()


LIVES: tuple[Callable[[World, str], str], ...] = (
    cancelled, missed, declined, usual, at_once, extended, supplemented, withdrawn, stopped, left_out, one_declined,
    all_declined, postponed, extract, returned,
)  # fmt: skip


def all_lived(world: World) -> Iterator[str]:
    """Live every life and yield the codes of the dossiers."""
    at = office(world)
    for live in LIVES:
        yield live(world, at)


if __name__ == "__main__":
    from datetime import timedelta

    from infra.services import using
    from tasks.lives.gate import RECORDED
    from tests.conftest import Authority
    from tests.world import running

    yesterday = SystemClock().now().replace(microsecond=0) - timedelta(days=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), Authority(start=yesterday, root_label="tests-root", label="tests")) as there,
        using(there.parts),
    ):
        codes = list(all_lived(there))
        RECORDED.unlink(missing_ok=True)
        done = there.type("lives", "record", *codes, by=None)
        print(done.out, done.err)
