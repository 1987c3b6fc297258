"""One, two or three officials in order, then the seal; steps that are dropped; whose turn it is (SIG-03, SIG-12, SIG-16)."""

from __future__ import annotations

import io
import subprocess
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import yaml

from infra.errors import Forbidden
from infra.pdf.checking import signatures_of
from infra.pdf.places import Rect
from tasks.certification.examining import decline_original, examine_again, withdraw
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.routes import drop_step
from tasks.certification.scanning import Presented
from tasks.certification.steps import issue_copy
from tasks.dossier.looking import office_of
from tasks.dossier.moves import person
from tasks.dossier.opening import Opening
from tasks.dossier.papers import newest, read
from tasks.dossier.procedures import SHIPPED
from tasks.dossier.refusals import Refusal
from tasks.forms import overlap_is_right
from tasks.signing import acts
from tasks.signing.steps import sign_original, validate
from tests.world import VECTORS, World, refused, somebody

MM = 72 / 25.4


def officers() -> list[dict[str, Any]]:
    """The people of an office with three officials and a supervisor."""
    known = yaml.safe_load((VECTORS / "office.yaml").read_text(encoding="utf-8"))["officers"]
    third = {
        "staff": "quy", "name": "Đặng Thị Ngọc Quý", "post": "Trưởng phòng", "roles": ["official", "supervisor"],
        "identity": "022000000009", "key": "official-quy", "image": "vi-van-lam.png",
    }  # fmt: skip
    return [*known, third]


def authority() -> dict[str, Any]:
    """Their posts and mandates: the third heads a unit and signs by the Chairman's order."""
    known = yaml.safe_load((VECTORS / "office.yaml").read_text(encoding="utf-8"))["authority"]
    post = {"code": "justice-head", "title": "Trưởng phòng Tư pháp", "rank": "unit-head", "under": "chairman"}
    holding = {"post": "justice-head", "staff": "quy", "since": date(2025, 7, 1), "decision": "118/QĐ-UBND"}
    basis = {"kind": "regulation", "number": "2/QC-UBND", "date": date(2025, 7, 1), "issuer": "UBND xã"}
    order = {
        "capacity": "TL.", "giver_post": "chairman", "giver": "lam", "to_post": "justice-head",
        "covers": ["certification"], "since": date(2025, 7, 2), "basis": basis,
    }  # fmt: skip
    return known | {
        "posts": [*known["posts"], post],
        "holdings": [*known["holdings"], holding],
        "mandates": [*known["mandates"], order],
    }


def route(*fields: str, optional: str = "") -> list[dict[str, Any]]:
    """Steps for these officials (field/capacity), then the seal."""
    steps: list[dict[str, Any]] = []
    for one in fields:
        field, capacity = one.split("/")
        steps.append(
            {"field": field, "role": "official", "capacities": [capacity], "optional": field == optional}
        )
    return [*steps, {"field": "seal", "role": "agency"}]


def offered(world: World, folder: Path, code: str, **changes: Any) -> str:
    """Load a procedure like the e-copy with something changed and return its code."""
    body = yaml.safe_load((SHIPPED / "e-copy.v1.yaml").read_text(encoding="utf-8")) | {
        "code": code,
        **changes,
    }
    path = folder / f"{code}.v1.yaml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    said = world.type("procedure", "load", path)
    assert said.code == 0, said.err
    return code


THREE = route("official_1/TL.", "official_2/KT.", "official_3/own", optional="official_2")


@pytest.fixture(scope="module")
def three(running_world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A procedure that three officials sign."""
    from infra.services import using

    with using(running_world.parts):
        return offered(running_world, tmp_path_factory.mktemp("p"), "three-officials", signature_steps=THREE)


def begun(world: World, procedure: str, **more: Any) -> tuple[str, str]:
    """Receive one original under a procedure, carry it to the officials, and return office and dossier."""
    office = world.office(officers=officers(), authority=authority(), **more)
    opening = Opening(office=office, procedure=procedure, applicant=somebody(), channels=())
    shown = [Presented(kind="Giấy 1", files=(("1.jpg", world.scan),))]
    code = receive_walk_in(opening, shown, Receipt(paid="BL-1"), by=world.officer(office)).code
    world.carry(code)
    return office, code


def supervisor(world: World, office: str) -> Any:
    with world.parts.database.transaction() as session:
        data = office_of(session, office)
    return person(data, data.officer("quy", "supervisor"), "supervisor")


def final(world: World, code: str, kind: str = "sealed") -> bytes:
    with world.parts.database.transaction() as session:
        row = newest(session, code, 1, kind)
    assert row is not None
    return read(row)


def boxes(pdf: bytes) -> dict[str, Rect]:
    """The rectangles of the fields on the last page, in millimetres, in the order of painting."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        found = {}
        for note in opened.pages[-1].Annots:
            left, bottom, right, top = (float(edge) / MM for edge in note.Rect)
            found[str(note.T)] = Rect(left=left, bottom=bottom, width=right - left, height=top - bottom)
        return found


def listed(office: str, staff: str) -> list[str]:
    try:
        return [document.dossier for document in acts.write_list(office, staff).documents]
    except Forbidden:
        return []


def test_sig_12_three_officials_sign_in_order_then_the_seal(world: World, three: str, tmp_path: Path) -> None:
    office, code = begun(world, three)
    signers = {staff: world.signer(office, staff) for staff in ("quy", "ha", "lam")}
    frozen = final(world, code, "frozen")
    assert list(boxes(frozen)) == ["official_1", "official_2", "official_3", "seal"]
    for number, staff in enumerate(("quy", "ha", "lam"), start=1):
        (row,) = [r for r in world.type("list", "--office", office, "--json").json if r["code"] == code]
        assert (row["waits_for"], row["whom"]) == ("AwaitingSignature", staff)
        assert f"{staff} ({number} of 3)" in world.type("show", code, "--json").json["why"]
        assert {one: listed(office, one) for one in signers} == {
            one: [code] if one == staff else [] for one in signers
        }
        for other in set(signers) - {staff}:
            refused(Forbidden, partial(sign_original, code, 1, signers[other]))
        refused(Forbidden, lambda: sign_original(code, 1, world.signer(office, "seal")))
        assert sign_original(code, 1, signers[staff])
    world.carry(code)
    assert world.stage(code) == "Returned"
    pdf = final(world, code)
    assert pdf.startswith(frozen)
    found = signatures_of(pdf, anchors=world.parts.anchors, chain=world.parts.chain)
    assert [(s.field, s.kind) for s in found] == [
        ("official_1", "certification"), ("official_2", "approval"), ("official_3", "approval"), ("seal", "approval"),
    ]  # fmt: skip
    assert all(s.intact and s.trusted for s in found)
    assert found[-1].covers_whole_file
    placed = boxes(pdf)
    assert list(placed)[-1] == "seal", "the seal is painted last"
    assert overlap_is_right(placed["official_3"], placed["seal"])
    assert placed["seal"].width == pytest.approx(36, abs=0.01)
    path = tmp_path / "three.pdf"
    path.write_bytes(pdf)
    said = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True).stdout
    assert said.count("Signature is Valid.") == 4
    assert "Total document signed" in said


@pytest.mark.parametrize("count", [1, 2])
def test_sig_03_the_seal_lies_on_the_last_official_s_image_in_the_signed_file(
    world: World, tmp_path: Path, count: int
) -> None:
    steps = route(*["official_1/KT.", "official_2/own"][:count])
    office, code = begun(world, offered(world, tmp_path, f"officials-{count}", signature_steps=steps))
    for staff in ("ha", "lam")[:count]:
        assert sign_original(code, 1, world.signer(office, staff))
    world.carry(code)
    placed = boxes(final(world, code))
    *officials, seal = placed
    assert overlap_is_right(placed[officials[-1]], placed[seal])
    assert len(officials) == count


def test_a_step_that_is_dropped_makes_a_new_revision_under_the_same_number(world: World, three: str) -> None:
    office, code = begun(world, three)
    old, number = (
        final(world, code, "frozen"),
        world.ask("select number from register_entry where dossier = :d", d=code),
    )
    stale = acts.write_list(office, "quy")
    assert drop_step(code, 1, "official_2", "đang đi công tác", by=supervisor(world, office))
    refused(Forbidden, lambda: sign_original(code, 1, world.signer(office, "quy")))
    world.carry(code)
    assert not drop_step(code, 1, "official_2", "đang đi công tác", by=supervisor(world, office))
    new = final(world, code, "frozen")
    assert new != old
    assert list(boxes(new)) == ["official_1", "official_3", "seal"]
    assert world.originals(code)[0].revision == 2
    assert world.ask("select number from register_entry where dossier = :d", d=code) == number
    changed = refused(
        Forbidden,
        lambda: sign_original(
            code, 1, world.signer(office, "quy"), expected_sha256=stale.documents[0].sha256
        ),
    )
    assert "changed after the list was written" in str(changed)
    for staff in ("quy", "lam"):
        assert sign_original(code, 1, world.signer(office, staff))
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert world.events(code).count("route:step-dropped") == 1
    assert "công tác" not in str(world.told(code))


def test_after_the_first_signature_no_step_is_dropped_and_nothing_is_declined(
    world: World, three: str
) -> None:
    office, code = begun(world, three)
    sign_original(code, 1, world.signer(office, "quy"))
    before = world.picture()
    for act in (
        lambda: drop_step(code, 1, "official_2", "vắng", by=supervisor(world, office)),
        lambda: decline_original(code, 1, Refusal.R1, "", by=world.officer(office)),
        lambda: withdraw(code, "thôi", by=world.officer(office)),
    ):
        assert refused(Forbidden, act).way_out  # type: ignore[attr-defined]
    assert not issue_copy(code, 1)
    assert world.picture() == before


@pytest.mark.parametrize(
    ("field", "word"), [("official_1", "optional"), ("seal", "optional"), ("official_9", "no step")]
)
def test_only_a_step_that_is_optional_and_there_is_dropped(
    world: World, three: str, field: str, word: str
) -> None:
    office, code = begun(world, three)
    refusal = refused(Forbidden, lambda: drop_step(code, 1, field, "vắng", by=supervisor(world, office)))
    assert word in str(refusal)


def test_a_step_is_dropped_by_a_supervisor_at_the_command_line(
    world: World, three: str, tmp_path: Path
) -> None:
    _, code = begun(world, three)
    reason = tmp_path / "reason"
    reason.write_text("vắng")
    drop = ("route", "drop", code, 1, "official_2", "--why")
    assert world.type(*drop, reason, by="mai").code == 1
    typed = world.type(*drop, "vắng mặt", by="quy")
    assert (typed.code, "[PRIVATE-01]" in typed.err) == (1, True)
    assert world.type(*drop, reason, by="quy").code == 0


def test_who_comes_second_may_leave_it_out_and_everybody_signs_anew(world: World, three: str) -> None:
    office, code = begun(world, three)
    sign_original(code, 1, world.signer(office, "quy"))
    acts.leave_out(code, 1, "sai tên", by=world.officer(office, "ha", "official"))
    assert world.stage(code) == "ReturnedToExaminer"
    examine_again(code, 1, None, by=world.officer(office))
    world.carry(code)
    (row,) = [r for r in world.type("list", "--office", office, "--json").json if r["code"] == code]
    assert row["whom"] == "quy"
    for staff in ("quy", "ha", "lam"):
        assert sign_original(code, 1, world.signer(office, staff))
    assert sign_original(code, 1, world.signer(office, "seal"))
    assert validate(code, 1)


def test_nobody_signs_two_steps_of_one_page(world: World, tmp_path: Path) -> None:
    steps = route("official_1/KT.", "official_2/KT.")
    procedure = offered(world, tmp_path, "twice-kt", signature_steps=steps)
    with pytest.raises(Forbidden) as refusal:
        begun(world, procedure)
    assert refusal.value.rule == "CERT-08"
    assert "official_2" in refusal.value.message
