"""What signatures show and where, measured in the files that come out (SIG-01 to SIG-09, SIG-16)."""

from __future__ import annotations

import io
import subprocess
import unicodedata
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import yaml

from infra.clock import HANOI
from infra.errors import Forbidden
from infra.pdf.checking import signatures_of
from infra.pdf.places import Rect
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.dossier.looking import office_of
from tasks.dossier.opening import Opening
from tasks.dossier.papers import newest, read
from tasks.dossier.procedures import SHIPPED
from tasks.forms import overlap_is_right
from tasks.forms.appearances import Kind, inscription, profile_on, profiles
from tasks.forms.placing import corner_box
from tasks.signing.steps import sign_original
from tests.world import World, somebody

MM = 72 / 25.4
SEAL = {"field": "seal", "role": "agency"}


def sealed(
    world: World, folder: Path, code: str, *, signs: bool = False, **changes: Any
) -> tuple[str, bytes]:
    """Carry one original through a procedure like the e-copy with changes; return its dossier and sealed file."""
    body = yaml.safe_load((SHIPPED / "e-copy.v1.yaml").read_text(encoding="utf-8")) | {
        "code": code,
        **changes,
    }
    path = folder / f"{code}.v1.yaml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    assert world.type("procedure", "load", path).code == 0
    office = world.office()
    opening = Opening(office=office, procedure=code, applicant=somebody(), channels=())
    shown = [Presented(kind="Giấy 1", files=(("1.jpg", world.scan),))]
    dossier = receive_walk_in(opening, shown, Receipt(paid="BL-1"), by=world.officer(office)).code
    world.carry(dossier)
    if signs:
        sign_original(dossier, 1, world.signer(office))
        world.carry(dossier)
    assert world.stage(dossier) == "Returned"
    with world.parts.database.transaction() as session:
        row = newest(session, dossier, 1, "sealed")
    assert row is not None
    return dossier, read(row)


def fields(pdf: bytes) -> dict[str, tuple[int, Rect, tuple[float, float]]]:
    """Every field: its page (from 0), its rectangle and the size of its page, in millimetres."""
    found = {}
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        for number, page in enumerate(opened.pages):
            size = (float(page.mediabox[2]) / MM, float(page.mediabox[3]) / MM)
            for note in page.get("/Annots", []):
                left, bottom, right, top = (float(edge) / MM for edge in note.Rect)
                rect = Rect(left=left, bottom=bottom, width=right - left, height=top - bottom)
                found[str(note.T)] = (number, rect, size)
    return found


def shows_image(pdf: bytes, field: str) -> bool:
    """Whether a field's appearance draws a picture."""
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        for page in opened.pages:
            for note in page.get("/Annots", []):
                if str(note.T) == field:
                    return _has_image(note.AP.N)
    raise AssertionError(field)


def _has_image(form: pikepdf.Object) -> bool:
    objects = form.get("/Resources", {}).get("/XObject", {})
    return any(o.Subtype == "/Image" or _has_image(o) for o in objects.values())


def text_of(pdf: bytes, folder: Path, page: int) -> str:
    (folder / "a.pdf").write_bytes(pdf)
    command = ["pdftotext", "-f", str(page), "-l", str(page), folder / "a.pdf", "-"]
    return unicodedata.normalize("NFC", subprocess.run(command, capture_output=True, text=True).stdout)


def test_sig_07_a_copy_that_the_agency_marks_shows_form_agency_and_time_at_the_top_right(
    world: World, tmp_path: Path
) -> None:
    code, pdf = sealed(
        world, tmp_path, "agency-copy", signature_steps=[{**SEAL, "purpose": "copy"}], copy_form="TRÍCH SAO"
    )
    (seal,) = signatures_of(pdf, anchors=world.parts.anchors, chain=world.parts.chain)
    assert (seal.intact, seal.trusted, seal.covers_whole_file) == (True, True, True)
    page, rect, (width, height) = fields(pdf)["seal"]
    assert page == 0
    assert width - rect.right <= 5
    assert height - rect.top <= 5
    assert not shows_image(pdf, "seal")
    said = " ".join(text_of(pdf, tmp_path, 1).split())
    assert f"TRÍCH SAO Ủy ban nhân dân xã Thử Nghiệm {seal.time:%d/%m/%Y %H:%M:%S} +07:00" in said
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        assert len(opened.pages) == 1, "nobody attests what the agency itself copies"
    assert "official" not in str(world.type("show", code, "--json").json["originals"])


def test_sig_16_a_document_without_signatory_is_sealed_alone_over_the_agency_s_name(
    world: World, tmp_path: Path
) -> None:
    _, pdf = sealed(world, tmp_path, "no-signatory", signature_steps=[SEAL], no_signatory=True)
    page, rect, _ = fields(pdf)["seal"]
    assert (page, round(rect.width, 1), round(rect.height, 1)) == (1, 36.0, 36.0)
    assert shows_image(pdf, "seal")


def test_sig_01_official_and_seal_show_their_images_and_no_text(world: World, tmp_path: Path) -> None:
    _, pdf = sealed(world, tmp_path, "as-today", signs=True)
    placed = fields(pdf)
    assert all(shows_image(pdf, field) for field in placed)
    assert overlap_is_right(placed["official_1"][1], placed["seal"][1])
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        for note in opened.pages[-1].Annots:
            assert "/Font" not in note.AP.N.get("/Resources", {})


def test_an_official_approves_and_the_agency_marks_the_first_page(world: World, tmp_path: Path) -> None:
    steps = [
        {"field": "official_1", "role": "official", "capacities": ["KT."]},
        {**SEAL, "purpose": "copy", "place": "top-right"},
    ]
    _, pdf = sealed(world, tmp_path, "approved-copy", signs=True, signature_steps=steps)
    assert {field: page for field, (page, _, _) in fields(pdf).items()} == {"official_1": 1, "seal": 0}


def test_sig_09_the_rules_of_the_day_decide_between_image_and_text() -> None:
    before, after = profile_on(date(2020, 3, 4)), profile_on(date(2020, 3, 5))
    assert before.look("copy").image
    assert not before.look("copy").lines
    assert not after.look("copy").image
    assert after.look("copy").size == 10
    assert before.look("issue").lines, "SIG-05: agency and time"
    with pytest.raises(Forbidden) as refusal:
        profile_on(date(2018, 1, 1))
    assert refusal.value.rule == "SIG-09"


def test_every_profile_says_how_every_kind_of_signature_looks() -> None:
    kinds = {"approve", "issue", "copy", "result", "attachment", "paper"}
    assert [p.code for p in profiles()] == ["tt-01-2019", "nd-30-2020"]
    for profile in profiles():
        assert set(profile.looks) == kinds
        assert profile.source


@pytest.mark.parametrize("kind", ["copy", "attachment", "paper", "result"])
def test_sig_06_what_the_agency_writes_in_a_corner_has_room_on_a_4_and_names_what_it_must(
    world: World, kind: Kind
) -> None:
    with world.parts.database.transaction() as session:
        office = office_of(session, world.office())
    look = profile_on(date(2026, 11, 22)).look(kind)
    at = datetime(2026, 11, 22, 9, 5, 7, tzinfo=HANOI)
    text = inscription(look, office, form="SAO Y", number="Số: 12/QĐ-UBND")
    rect = corner_box(text, look.corners[0], width=210, height=297, office=office, at=at)
    assert not look.image
    assert (rect.right, rect.top) == (210 - look.margin, 297 - look.margin)
    said = text.lines(at)
    wanted = {
        "copy": ("SAO Y", office.unit, "22/11/2026 09:05:07 +07:00"),
        "attachment": ("Số: 12/QĐ-UBND", "22/11/2026 09:05:07 +07:00"),
        "paper": (f"Ký bởi: {office.unit}", "Thời gian ký: 22/11/2026 09:05:07 +07:00"),
    }
    assert said == wanted.get(kind, said)
    assert said[-1] in ("Thời gian ký: 22.11.2026", *(lines[-1] for lines in wanted.values()))
