"""Another agency's signed result: by paper, e-mail, portal or several, and published (DOS-22, DOS-25, SIG-20, SIG-21)."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from infra.clock import HANOI
from infra.errors import Forbidden, Unavailable
from infra.pdf.checking import SignatureFound, signatures_of
from infra.pdf.signing import sign_field
from infra.token import TokenAbsent
from tasks.archival.steps import ask_for_archive
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.delivery.acts import confirm, hand_over
from tasks.dossier.opening import Opening
from tasks.dossier.papers import newest, read
from tests.world import RETURN, SCANS, World, somebody


def signed_result(world: World, office: str, form: bytes, *, certify: bool = False) -> bytes:
    """Return a one-page PDF signed by somebody whose certificate is known here."""
    signer = world.signer(office, "lam")
    return sign_field(
        form, field="official", token=signer.token, image=signer.image, at=world.parts.clock.now().astimezone(HANOI),
        certify=certify, name=None, location=None, reason=None, chain=world.parts.chain,
    )  # fmt: skip


def received(world: World, office: str, content: bytes, *channels: str, **more: Any) -> str:
    """Take a result in at the counter for somebody who chose these channels."""
    applicant = somebody(email="x@citizen.example", account=f"R-{office}")
    opening = Opening(office=office, procedure=RETURN, applicant=applicant, channels=channels, **more)
    shown = Presented(kind="Giấy phép xây dựng", files=(("result.pdf", content),), pages=1)
    return receive_walk_in(opening, [shown], Receipt(), by=world.officer(office)).code


def signatures(world: World, pdf: bytes) -> list[SignatureFound]:
    return signatures_of(pdf, anchors=world.parts.anchors, chain=world.parts.chain)


def kept(world: World, code: str, kind: str) -> bytes:
    """Return the newest document of a kind."""
    with world.parts.database.transaction() as session:
        row = newest(session, code, 1, kind)
    assert row is not None
    return read(row)


def text_of(pdf: bytes, folder: Path) -> str:
    (folder / "a.pdf").write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-layout", folder / "a.pdf", "-"], capture_output=True, text=True)
    return " ".join(unicodedata.normalize("NFC", done.stdout).split())


def judged(world: World, pdf: bytes, folder: Path) -> str:
    """What pdfsig says of a file's signatures."""
    (folder / "a.pdf").write_bytes(pdf)
    return subprocess.run(["pdfsig", "-nocert", folder / "a.pdf"], capture_output=True, text=True).stdout


def legs(world: World, code: str) -> dict[str, str]:
    """Return a dossier's legs and how they stand."""
    return {r.channel: r.state for r in world.ask("select * from delivery_leg where dossier = :d", d=code)}


def published(world: World, code: str) -> list[Any]:
    """Return what the public may look up of a dossier."""
    return [row for row in world.type("results", "--json").json if row["dossier"] == code]


def test_a_result_by_three_channels_is_returned_when_every_leg_has_ended(world: World, form: bytes) -> None:
    office = world.office()
    content = signed_result(world, office, form)
    code = received(world, office, content, "paper", "email", "portal")
    world.carry(code)
    assert world.stage(code) == "Signed"
    assert legs(world, code) == {"paper": "at-counter", "email": "accepted", "portal": "accepted"}
    assert world.type("status", code, "--json").json["waits_for"] == "AwaitingCollection"
    hand_over(code, "Trần Văn Nhận", "022000000555", by=world.officer(office))
    hand_over(code, "Trần Văn Nhận", "022000000555", by=world.officer(office))
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert legs(world, code)["paper"] == "collected"
    assert world.events(code).count("leg:collected") == 1
    (mail,) = [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")]
    sent = next(mail.iter_attachments()).get_content()
    assert sent.startswith(content)
    assert [s.field for s in signatures(world, sent)] == ["official", "centre"]


def test_sig_19_the_centre_adds_its_block_and_the_other_agency_s_signature_still_holds(
    world: World, form: bytes, tmp_path: Path
) -> None:
    office = world.office()
    content = signed_result(world, office, form)
    code = received(world, office, content, "email")
    world.carry(code)
    assert world.stage(code) == "Returned"
    pdf = kept(world, code, "sealed")
    assert pdf.startswith(content)
    theirs, ours = signatures(world, pdf)
    assert (theirs.intact, ours.intact, ours.trusted, ours.covers_whole_file) == (True, True, True, True)
    assert ours.kind == "approval"
    assert (
        "KẾT QUẢ GIẢI QUYẾT THỦ TỤC HÀNH CHÍNH Ký bởi: Bộ phận Tiếp nhận và Trả kết quả, Ủy ban nhân dân xã Thử"
        " Nghiệm Email: motcua@thunghiem.example Cơ quan: Ủy ban nhân dân xã Thử Nghiệm, Tỉnh Quảng Ninh Thời gian"
        f" ký: {ours.time:%d.%m.%Y}"
    ) in text_of(pdf, tmp_path)
    assert judged(world, pdf, tmp_path).count("Signature is Valid.") == 2
    (checked,) = [e for e in world.told(code) if e["event"] == "result:checked"]
    assert (checked["sound"], checked["way"]) == (True, "block")
    verdict = json.loads(kept(world, code, "verdict"))
    assert [s["intact"] for s in verdict["signatures"]] == [True]
    assert checked["verdict"]["sha256"] == hashlib.sha256(kept(world, code, "verdict")).hexdigest()


def test_a_result_that_takes_no_signature_travels_unchanged_with_a_signed_note(
    world: World, form: bytes, tmp_path: Path
) -> None:
    office = world.office()
    content = signed_result(world, office, form, certify=True)
    code = received(world, office, content, "paper", "email", "portal")
    world.carry(code)
    assert world.stage(code) == "Signed"
    (mail,) = [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")]
    result, note = list(mail.iter_attachments())
    assert result.get_content() == content
    assert "SHA-256" in mail.get_body().get_content()
    (centre,) = signatures(world, note.get_content())
    assert (centre.field, centre.intact, centre.trusted, centre.covers_whole_file) == (
        "centre",
        True,
        True,
        True,
    )
    said = text_of(note.get_content(), tmp_path)
    assert hashlib.sha256(content).hexdigest() in said.replace(" ", "")
    assert "Giấy phép xây dựng" in said
    assert f"official-lam {office}" in said, "who signed the result"
    assert code in said
    assert judged(world, note.get_content(), tmp_path).count("Signature is Valid.") == 1
    world.type("document", code, 1, "--out", tmp_path / "result.pdf")
    world.type("document", code, 1, "--note", "--out", tmp_path / "note.pdf")
    assert (tmp_path / "result.pdf").read_bytes() == content
    assert (tmp_path / "note.pdf").read_bytes() == note.get_content()
    (row,) = published(world, code)
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    hand_over(code, "Trần Văn Nhận", "022000000555", by=world.officer(office))
    world.carry(code)
    ask_for_archive(code)
    world.carry(code)
    assert world.stage(code) == "Archived"
    keys = [
        r.key.rpartition("/")[2]
        for r in world.ask("select key from archived_object where dossier = :d", d=code)
    ]
    assert {"1-result-0-0.pdf", "1-sealed-1-0.pdf", "1-verdict-1-0.json"} <= set(keys)


def test_a_result_signed_by_a_stranger_goes_back_to_the_examiner_with_the_verdict(
    world: World, form: bytes
) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "email")
    with world.having(foreign_anchors=(), foreign_chain=()):
        world.carry(code)
    assert world.stage(code) == "ReturnedToExaminer"
    assert "is not trusted" in str(world.originals(code)[0].reason)
    (checked,) = [e for e in world.told(code) if e["event"] == "result:checked"]
    assert (checked["sound"], checked["way"]) == (False, "none")
    assert not json.loads(kept(world, code, "verdict"))["signatures"][0]["trusted"]


def test_a_version_that_does_not_let_the_centre_sign_returns_the_result_as_it_is(
    world: World, form: bytes
) -> None:
    office = world.office()
    content = signed_result(world, office, form)
    code = received(world, office, content, "email")
    world.put("update dossier set procedure_version = 1 where code = :c", c=code)
    world.carry(code)
    assert world.stage(code) == "Returned"
    (mail,) = [m for m in world.mails(code) if str(m["Subject"]).startswith("Kết quả")]
    assert next(mail.iter_attachments()).get_content() == content


def test_while_the_centre_s_token_is_away_the_result_waits_for_it_by_name(world: World, form: bytes) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "email")

    def absent(*_: object, **__: object) -> None:
        raise TokenAbsent("the token is not plugged in")

    with world.having(open_token=absent), pytest.raises(Unavailable):
        world.carry(code)
    assert world.stage(code) == "AwaitingSeal"
    assert legs(world, code) == {}
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert [e["event"] for e in world.told(code)].count("result:checked") == 1


def test_the_collector_is_kept_beside_the_history_and_not_in_it(world: World, form: bytes) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "paper")
    world.carry(code)
    hand_over(code, "Trần Văn Nhận", "022000000555", by=world.officer(office))
    entry = next(e for e in world.told(code) if e["event"] == "leg:collected")
    assert "Nhận" not in str(world.told(code))
    assert "022000000555" not in str(world.told(code))
    payload = world.ask(
        "select salt, content from history_payload where commitment = decode(:c, 'hex')", c=entry["commit"]
    )[0]
    assert hashlib.sha256(bytes(payload.salt) + bytes(payload.content)).hexdigest() == entry["commit"]
    assert "Trần Văn Nhận" in bytes(payload.content).decode()


@pytest.mark.parametrize(("collector", "identity"), [("", "022"), ("Nhận", ""), (" ", " ")])
def test_dos_22_nobody_collects_namelessly(world: World, form: bytes, collector: str, identity: str) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "paper")
    world.carry(code)
    with pytest.raises(Forbidden) as refusal:
        hand_over(code, collector, identity, by=world.officer(office))
    assert refusal.value.rule == "DOS-22"
    assert legs(world, code) == {"paper": "at-counter"}


def test_dos_25_number_hash_and_standing_are_published_and_nothing_personal(
    world: World, form: bytes
) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "email")
    world.carry(code)
    world.carry(code)
    (row,) = published(world, code)
    assert row == {
        "number": code, "sha256": hashlib.sha256(kept(world, code, "sealed")).hexdigest(), "standing": "valid",
        "dossier": code,
    }  # fmt: skip
    assert world.events(code).count("result:published") == 1


def test_sig_21_a_confidential_result_is_returned_and_not_published(world: World, form: bytes) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "paper", confidential=True)
    world.carry(code)
    assert legs(world, code) == {"paper": "at-counter"}
    assert published(world, code) == []


def test_a_certified_copy_is_never_published_and_says_so_to_nobody(world: World) -> None:
    code = world.signed(world.office())
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert published(world, code) == []
    assert "result:published" not in world.events(code)


def test_a_result_that_was_changed_after_its_signature_goes_back_to_the_examiner(
    world: World, form: bytes
) -> None:
    office = world.office()
    content = bytearray(signed_result(world, office, form))
    content[content.index(b"842")] = ord("9")
    code = received(world, office, bytes(content), "email")
    world.carry(code)
    assert world.stage(code) == "ReturnedToExaminer"
    assert legs(world, code) == {}
    assert [
        r.state for r in world.ask("select state from notice where dossier = :d and kind = 'receipt'", d=code)
    ] == ["sent"]


def test_a_result_with_something_added_after_its_signature_goes_back_to_the_examiner(
    world: World, form: bytes
) -> None:
    office = world.office()
    writer = IncrementalPdfFileWriter(io.BytesIO(signed_result(world, office, form)))
    append_signature_field(writer, SigFieldSpec("late", box=(10, 10, 60, 60)))
    out = io.BytesIO()
    writer.write(out)
    code = received(world, office, out.getvalue(), "email")
    world.carry(code)
    assert world.stage(code) == "ReturnedToExaminer"


@pytest.mark.parametrize("name", ["born-digital.pdf", "text.pdf", "grey-72-dpi.jpg"])
def test_sig_20_what_is_not_signed_is_no_result(world: World, name: str) -> None:
    office = world.office()
    before = world.picture()
    with pytest.raises(Forbidden) as refusal:
        received(world, office, (SCANS / name).read_bytes(), "email")
    assert refusal.value.rule == "SIG-20"
    assert world.picture() == before


def test_confirming_what_was_never_sent_by_that_way_is_refused(world: World, form: bytes) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "paper")
    world.carry(code)
    with pytest.raises(Forbidden) as refusal:
        confirm(code, "email", by=world.officer(office))
    assert refusal.value.rule == "DOS-22"


def test_a_result_costs_nothing_and_takes_no_number(world: World, form: bytes) -> None:
    office = world.office()
    code = received(world, office, signed_result(world, office, form), "email")
    world.carry(code)
    assert world.ask("select count(*) from payment where dossier = :d", d=code)[0][0] == 0
    assert world.ask("select count(*) from register_entry where dossier = :d", d=code)[0][0] == 0
    assert world.stage(code) == "Returned"
