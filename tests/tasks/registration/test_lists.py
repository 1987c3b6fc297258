"""Confirmed rows become one numbered list: a workbook, and a page that is signed exactly once."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import openpyxl
import pikepdf
import pytest
import yaml

from infra.errors import Forbidden, Unavailable
from infra.history.recording import entries
from infra.pdf.checking import signatures_of
from infra.services import services
from infra.token import TokenAbsent
from tasks.authority.acts import end_post
from tasks.forms.rules import overlap_is_right
from tasks.registration.answers import confirm, reject, submit
from tasks.registration.entries import current_rows, read_rows_of, take_list
from tasks.registration.freezing import freeze_list
from tasks.registration.lifecycle import State
from tasks.registration.lists import consolidate, export, lists_status, send, take_over
from tasks.registration.sealing import sign_list_page
from tests.tasks.registration.lists import agency_of, deadline_passes, round_in, rows_of, somebody_of
from tests.tasks.signing.test_exactly_once import DyingToken, Interrupted, Spy
from tests.world import VECTORS, World, refused

NUMBER = "12/DS-UBND"


def confirmed(world: World, office: str, people: int = 3, *, agencies: int = 0, **changes: Any) -> str:
    """A round whose two units have confirmed rows, and whose deadline is over."""
    code, by = round_in(world, office, **changes), world.officer(office)
    half = people // 2 + 1
    for unit, numbers in (("TTVH", range(half)), ("YTE", range(half, people))):
        if numbers:
            take_list(code, unit, "individual", rows_of([somebody_of(n) for n in numbers]), by=by)
    if agencies:
        rows = rows_of([agency_of(n) for n in range(agencies)], "organisation")
        take_list(code, "TTVH", "organisation", rows, by=by)
    for unit in ("TTVH", "YTE") if people > half - 1 and people > 1 else ("TTVH",):
        submit(code, unit, f"1/{unit}", by=by)
        confirm(code, unit, f"2/{unit}", world.parts.clock.now().date(), by=by)
    deadline_passes(world, code)
    return code


def on_a_list(world: World, office: str, people: int = 3, **changes: Any) -> str:
    code = confirmed(world, office, people, **changes)
    alone = changes.get("signed_by") == "seal"
    consolidate(
        code,
        "individual",
        NUMBER,
        by=world.officer(office, "ha", "official"),
        official="" if alone else "lam",
    )
    return code


def told(world: World, code: str) -> list[str]:
    with world.parts.database.transaction() as session:
        return [json.loads(entry.content)["event"] for entry in entries(session, f"registration/{code}")]


def page_of(world: World, code: str, office: str) -> bytes:
    return export(code, 1, "page", by=world.officer(office))[0]


def signed_fields(pdf: bytes) -> list[str]:
    parts = services()
    found = signatures_of(pdf, anchors=parts.anchors, chain=parts.chain)
    assert all(one.intact and one.trusted and one.level == "B" for one in found)
    assert not found or found[-1].covers_whole_file
    return [one.field for one in found]


def text_of(pdf: bytes, path: Path) -> str:
    path.write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_list_holds_every_confirmed_row_of_its_kind_in_the_order_of_units(world: World) -> None:
    office = world.office()
    code = confirmed(world, office, 4, agencies=1)
    by = world.officer(office, "ha", "official")
    take_list(code, "TDTT", "individual", rows_of([somebody_of(9)]), by=by, late_decision="1/QĐ")
    made = consolidate(code, "individual", NUMBER, by=by, official="lam")
    assert (made.ordinal, made.rows, made.waiting) == (1, 4, {"Draft": 1})
    other = consolidate(code, "organisation", "13/DS-UBND", by=by, official="lam")
    assert (other.ordinal, other.rows) == (2, 1)
    with world.parts.database.transaction() as session:
        rows = [
            (e.unit, e.number, str(e.state)) for e, _ in current_rows(session, code, subject="individual")
        ]
    assert rows == [
        ("TTVH", 1, "Consolidated"), ("TTVH", 2, "Consolidated"), ("TTVH", 3, "Consolidated"),
        ("TDTT", None, "Draft"), ("YTE", 4, "Consolidated"),
    ]  # fmt: skip


def test_a_list_is_not_made_too_early_twice_or_of_nothing(world: World) -> None:
    office = world.office()
    code, by = round_in(world, office), world.officer(office, "ha", "official")
    take_list(code, "TTVH", "individual", rows_of([somebody_of(1)]), by=by)
    submit(code, "TTVH", "1/A", by=by)
    confirm(code, "TTVH", "2/A", world.parts.clock.now().date(), by=by)

    def make(number: str = NUMBER, official: str = "lam") -> object:
        return consolidate(code, "individual", number, by=by, official=official)

    assert "may still answer" in str(refused(Forbidden, make))
    for unit in ("TDTT", "YTE"):
        submit(code, unit, f"1/{unit}", nothing=True, by=by)
    refused(Forbidden, lambda: make(official="mai"))
    make()
    assert "no row" in str(refused(Forbidden, make))
    take_list(code, "TTVH", "individual", rows_of([somebody_of(2)]), by=by)
    submit(code, "TTVH", "3/A", by=by)
    confirm(code, "TTVH", "4/A", world.parts.clock.now().date(), by=by)
    assert "has the number" in str(refused(Forbidden, make))
    assert make("14/DS-UBND").ordinal == 2  # type: ignore[attr-defined]


def test_two_consolidations_at_once_put_every_row_on_one_list(world: World) -> None:
    office = world.office()
    code, by = confirmed(world, office), world.officer(office, "ha", "official")
    works = [lambda n=n: consolidate(code, "individual", f"{n}/DS", by=by, official="lam") for n in range(3)]  # type: ignore[misc]
    done = world.at_once(works)
    assert sum(isinstance(one, Forbidden) for one in done) == 2
    assert [one.rows for one in lists_status(code)] == [{"Consolidated": 3}]


# The workbook and the page.


def test_the_workbook_has_the_form_s_columns_as_text(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    freeze_list(code, 1)
    content, _ = export(code, 1, "workbook", by=world.officer(office))
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    table = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert "DANH SÁCH CÁ NHÂN ĐỀ NGHỊ CẤP CHỨNG THƯ CHỮ KÝ SỐ" in table[1]
    assert table[3][:6] == ["STT", "Họ và tên", "Ngày sinh", "Số CCCD", "Ngày cấp", "Nơi cấp"]
    assert "Thẩm quyền ký" not in table[3]
    assert table[4][:4] == ["1", "Nguyễn Văn Aan", "05/03/1980", "022080000000"]
    assert all(cell.data_type == "s" and cell.number_format == "@" for row in sheet["A5:E7"] for cell in row)
    assert sheet.column_dimensions["B"].width > 20


def test_the_page_says_who_asks_whom_for_what_on_every_page(world: World, tmp_path: Path) -> None:
    office = world.office()
    code = on_a_list(world, office, 30)
    freeze_list(code, 1)
    page = page_of(world, code, office)
    text = text_of(page, tmp_path / "page.pdf")
    for said in (
        "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", NUMBER, "DANH SÁCH CÁ NHÂN ĐỀ NGHỊ CẤP CHỨNG THƯ CHỮ KÝ SỐ",
        "Kính gửi: Cục Chứng thực số", "cho 30 cá nhân", "Đơn vị TTVH", "Đơn vị YTE", "022080000029",
        "TM. ỦY BAN NHÂN DÂN", "Vi Văn Lâm",
    ):  # fmt: skip
        assert said in text, said
    pages = text.split("\f")[:-1]
    assert len(pages) >= 3
    assert all("Số CCCD" in one for one in pages if "0220800000" in one)
    assert [one.split()[0] for one in pages[1:]] == [str(n) for n in range(2, len(pages) + 1)]
    with pikepdf.open(io.BytesIO(page)) as pdf:
        assert float(pdf.pages[0].MediaBox[2]) > float(pdf.pages[0].MediaBox[3])


def test_freezing_again_on_the_same_day_gives_the_same_bytes(world: World) -> None:
    code = on_a_list(world, world.office())
    first = freeze_list(code, 1)
    assert freeze_list(code, 1).sha256 == first.sha256
    assert told(world, code).count("registration:list-frozen") == 1


def test_of_two_that_freeze_at_once_both_have_the_same_page(world: World) -> None:
    code = on_a_list(world, world.office())
    done = world.at_once([lambda: freeze_list(code, 1).sha256 for _ in range(3)])
    assert len(set(done)) == 1
    assert told(world, code).count("registration:list-frozen") == 1


def test_a_page_of_another_day_is_made_anew_under_its_number_before_it_is_signed(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    freeze_list(code, 1)
    with world.owner() as owner:
        owner.execute("update registration_paper set for_day = for_day - 1 where round = %s", (code,))
    assert sign_list_page(code, 1, world.signer(office, "lam"))
    with world.parts.database.transaction() as session:
        assert session.connection().exec_driver_sql(
            "select kind, revision from registration_paper where round = %s order by revision, kind", (code,)
        ).all() == [("frozen", 0), ("workbook", 0), ("approved", 1), ("frozen", 1), ("workbook", 1)]  # fmt: skip


def test_a_row_that_is_rejected_leaves_the_page_and_its_numbers_close_up(
    world: World, tmp_path: Path
) -> None:
    office = world.office()
    code = on_a_list(world, office)
    before = freeze_list(code, 1).sha256
    by = world.officer(office)
    first = read_rows_of(code, by=by)[0]
    reject(code, first.id, "đã nghỉ hưu", by=by)
    assert freeze_list(code, 1).sha256 != before
    assert first.values["identity"] not in text_of(page_of(world, code, office), tmp_path / "page.pdf")
    assert [r.number for r in read_rows_of(code, by=by, state=State.CONSOLIDATED)] == [1, 2]
    sign_list_page(code, 1, world.signer(office, "lam"))
    second = read_rows_of(code, by=by, state=State.CONSOLIDATED)[0]
    assert "is signed" in str(refused(Forbidden, lambda: reject(code, second.id, "x", by=by)))


# Signing.


def test_the_official_signs_and_then_the_agency_and_poppler_agrees(world: World, tmp_path: Path) -> None:
    office = world.office()
    code = on_a_list(world, office)
    assert sign_list_page(code, 1, world.signer(office, "lam"))
    assert sign_list_page(code, 1, world.signer(office, "seal"))
    assert not sign_list_page(code, 1, world.signer(office, "lam"))
    assert not sign_list_page(code, 1, world.signer(office, "seal"))
    page = page_of(world, code, office)
    assert signed_fields(page) == ["official_1", "seal"]
    if shutil.which("pdfsig"):
        (tmp_path / "page.pdf").write_bytes(page)
        said = subprocess.run(
            ["pdfsig", "-nocert", tmp_path / "page.pdf"], capture_output=True, text=True
        ).stdout
        assert said.count("Signature is Valid.") == 2
        assert "Total document signed" in said
    assert told(world, code)[-5:-1] == [
        "registration:signature-intended", "registration:signature-done",
        "registration:signature-intended", "registration:signature-done",
    ]  # fmt: skip


def test_sig_03_the_seal_covers_a_third_of_the_official_s_image_on_its_left(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    freeze_list(code, 1)
    from infra.pdf.places import Rect

    found = {}
    with pikepdf.open(io.BytesIO(page_of(world, code, office))) as pdf:
        for field in pdf.Root.AcroForm.Fields:
            left, bottom, right, top = (float(edge) / 72 * 25.4 for edge in field.Rect)
            found[str(field.T)] = Rect(left=left, bottom=bottom, width=right - left, height=top - bottom)
            assert field.P.objgen == pdf.pages[-1].objgen
    assert overlap_is_right(found["official_1"], found["seal"])


def test_sig_12_the_seal_does_not_come_first_and_nobody_else_signs(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    error = refused(Forbidden, lambda: sign_list_page(code, 1, world.signer(office, "seal")))
    assert isinstance(error, Forbidden)
    assert error.rule == "SIG-12"
    refused(Forbidden, lambda: sign_list_page(code, 1, world.signer(office, "ha")))
    other = world.office()
    refused(Forbidden, lambda: sign_list_page(code, 1, world.signer(other, "lam")))
    assert told(world, code).count("registration:signature-refused") == 3


def test_sig_16_a_list_that_belongs_to_a_signed_letter_is_sealed_alone(world: World, tmp_path: Path) -> None:
    office = world.office()
    code = on_a_list(world, office, signed_by="seal")
    refused(Forbidden, lambda: sign_list_page(code, 1, world.signer(office, "lam")))
    assert sign_list_page(code, 1, world.signer(office, "seal"))
    page = page_of(world, code, office)
    assert signed_fields(page) == ["seal"]
    assert "Vi Văn Lâm" not in text_of(page, tmp_path / "page.pdf")


def test_auth_01_who_has_no_mandate_for_it_signs_no_list_and_one_that_ends_meanwhile_is_not_kept(
    world: World,
) -> None:
    office = world.office()
    code = confirmed(world, office)
    by = world.officer(office, "ha", "official")
    error = refused(Forbidden, lambda: consolidate(code, "individual", NUMBER, by=by, official="ha"))
    assert isinstance(error, Forbidden)
    assert error.rule == "AUTH-01"
    consolidate(code, "individual", NUMBER, by=by, official="lam")
    signer = world.signer(office, "lam")
    chair = world.ask("select id from holding where office = :o and post = 'chairman'", o=office)[0][0]

    class Leaving(DyingToken):
        def sign(self, content: bytes) -> bytes:
            with world.parts.database.transaction() as session:
                end_post(session, office, chair, "99/QĐ-UBND", by=by)
            self.calls += 1
            return self._token.sign(content)

    leaving = Leaving(signer, Interrupted())
    refused(Forbidden, lambda: sign_list_page(code, 1, world.signer(office, "lam", token=leaving)))
    assert told(world, code)[-1] == "registration:signature-unused"


def test_a_list_is_taken_over_by_another_official_before_it_is_signed(world: World, tmp_path: Path) -> None:
    authority = yaml.safe_load((VECTORS / "office.yaml").read_text(encoding="utf-8"))["authority"]
    authority["mandates"][0]["covers"].append("registration")
    office = world.office(authority=authority)
    code = on_a_list(world, office)
    freeze_list(code, 1)
    ha = world.officer(office, "ha", "official")
    take_over(code, 1, by=ha)
    take_over(code, 1, by=ha)
    refused(Forbidden, lambda: sign_list_page(code, 1, world.signer(office, "lam")))
    assert sign_list_page(code, 1, world.signer(office, "ha"))
    text = text_of(page_of(world, code, office), tmp_path / "page.pdf")
    assert "KT. CHỦ TỊCH" in text
    assert "Hoàng Thị Thu Hà" in text
    refused(Forbidden, lambda: take_over(code, 1, by=world.officer(office, "lam", "official")))
    assert told(world, code).count("registration:taken-over") == 1


def test_what_was_reviewed_is_what_is_signed(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    seen = freeze_list(code, 1).sha256
    by = world.officer(office)
    reject(code, read_rows_of(code, by=by)[0].id, "x", by=by)
    error = refused(
        Forbidden, lambda: sign_list_page(code, 1, world.signer(office, "lam"), expected_sha256=seen)
    )
    assert "reviewed" in str(error)
    seen = freeze_list(code, 1).sha256
    assert sign_list_page(code, 1, world.signer(office, "lam"), expected_sha256=seen)


def test_after_a_crash_between_store_and_row_the_stored_signature_is_kept(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    freeze_list(code, 1)
    signer = world.signer(office, "lam")
    with world.having(work=Spy(world.parts.work, die_after="put_first")), pytest.raises(Interrupted):
        sign_list_page(code, 1, signer)
    assert signer.token.calls == 1
    again = world.signer(office, "lam")
    assert sign_list_page(code, 1, again)
    assert again.token.calls == 0
    assert told(world, code).count("registration:signature-done") == 1


def test_a_try_whose_process_died_in_the_token_call_is_told_before_the_next(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    signer = world.signer(office, "lam")
    with pytest.raises(Interrupted):
        sign_list_page(code, 1, world.signer(office, "lam", token=DyingToken(signer, Interrupted())))
    assert told(world, code)[-1] == "registration:signature-intended"
    assert sign_list_page(code, 1, world.signer(office, "lam"))
    assert told(world, code)[-3:] == [
        "registration:signature-interrupted", "registration:signature-intended", "registration:signature-done",
    ]  # fmt: skip


def test_a_token_that_fails_is_told_and_the_list_can_be_signed_later(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    away = world.signer(office, "lam", token=DyingToken(world.signer(office, "lam"), TokenAbsent("gone")))
    refused(Unavailable, lambda: sign_list_page(code, 1, away))
    assert told(world, code)[-1] == "registration:signature-failed"
    assert sign_list_page(code, 1, world.signer(office, "lam"))


def test_two_that_seal_at_once_keep_one_signature(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    sign_list_page(code, 1, world.signer(office, "lam"))
    signers = [world.signer(office, "seal") for _ in range(3)]
    done = world.at_once([lambda s=s: sign_list_page(code, 1, s) for s in signers])  # type: ignore[misc]
    assert sorted(map(bool, done)) == [False, False, True]
    assert signed_fields(page_of(world, code, office)) == ["official_1", "seal"]
    events = told(world, code)
    calls = sum(s.token.calls for s in signers)
    kept = events.count("registration:signature-done") - 1
    assert calls == kept + events.count("registration:signature-unused")


def test_a_certificate_that_ended_while_the_token_worked_is_not_kept(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    signer = world.signer(office, "lam")

    class Ending:
        certificate, calls = signer.token.certificate, 0

        def sign(self, content: bytes) -> bytes:
            world.put(
                "update certificate set ended_at = clock_timestamp() where office = :o and key = 'official-lam'",
                o=office,
            )
            return signer.token.sign(content)

        def close(self) -> None: ...

    refused(Forbidden, lambda: sign_list_page(code, 1, world.signer(office, "lam", token=Ending())))  # type: ignore[arg-type]
    assert told(world, code)[-1] == "registration:signature-unused"
    assert signed_fields(page_of(world, code, office)) == []


# Sending.


def test_only_a_sealed_list_is_sent_and_its_rows_are_fixed_then(world: World) -> None:
    office = world.office()
    code, by = on_a_list(world, office), world.officer(office)
    refused(Forbidden, lambda: send(code, 1, "99/UBND", by=by))
    sign_list_page(code, 1, world.signer(office, "lam"))
    sign_list_page(code, 1, world.signer(office, "seal"))
    assert send(code, 1, "99/UBND", by=by) == 3
    assert send(code, 1, "99/UBND", by=by) == 0
    assert lists_status(code)[0].rows == {"Sent": 3}
    row = read_rows_of(code, by=by)[0]
    again = take_list(
        code, row.unit, "individual", rows_of([somebody_of(0, post="Khác")]), by=by, late_decision="1/QĐ"
    )
    assert [r.code for r in again.reasons] == ["fixed"]
    assert reject(code, row.id, "nhà cung cấp từ chối", by=by) == State.SENT


def test_exports_are_in_the_history_and_the_application_cannot_change_documents(world: World) -> None:
    office = world.office()
    code = on_a_list(world, office)
    freeze_list(code, 1)
    page_of(world, code, office)
    assert told(world, code)[-1] == "registration:exported"
    with pytest.raises(Exception, match="permission denied"):
        world.put("update registration_paper set sha256 = 'x'")


def test_a_list_goes_through_the_commands_to_the_provider(world: World, tmp_path: Path) -> None:
    office = world.office()
    code = confirmed(world, office)
    made = world.type(
        "registration", "consolidate", code, "--number", NUMBER, "--official", "lam", "--by", "ha", "--json"
    )
    assert made.code == 0, made.err
    assert made.json["rows"] == 3
    page, book = tmp_path / "page.pdf", tmp_path / "list.xlsx"
    taken = world.type(
        "registration", "export", code, 1, "--page", page, "--workbook", book, "--by", "ha", "--json"
    ).json
    assert taken[0]["sha256"] == made.json["sha256"]
    pin = tmp_path / "pin"
    pin.write_text("428571\n")
    words = ("registration", "sign", code, 1, "--digest", taken[0]["sha256"], "--pin-file", pin, "--by")
    assert world.type(*words, "mai").code == 1
    assert world.type(*words, "lam").out == f"{code} list 1  signed\n"
    assert world.type("registration", "seal", code, 1).out == f"{code} list 1  sealed\n"
    assert world.type("registration", "send", code, 1, "--document", "99/UBND", "--by", "mai").out.endswith(
        "3 rows sent\n"
    )
    assert world.type("registration", "lists", code, "--by", "mai", "--json").json[0]["page"] == "sealed"
    assert world.type("registration", "send", code, 2, "--document", "99/UBND", "--by", "mai").code == 1
    late = world.type(
        "registration", "extend", code, "--deadline", "2031-01-01T17:00", "--decision", "2", "--by", "ha"
    )
    assert late.code == 0
