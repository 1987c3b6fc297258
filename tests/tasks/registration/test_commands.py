"""A round from its file to its answers, by the commands that people type."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.sheets import read_rows
from tests.tasks.registration.lists import DOMAINS, as_csv, as_xlsx, round_in, somebody_of, table_of
from tests.world import VECTORS, World


def round_file(world: World, at: str, folder: Path, **changes: Any) -> Path:
    now = world.parts.clock.now()
    body = {
        "code": f"F-{at.replace('.', '-')}",
        "office": at,
        "name": "Đăng ký chứng thư chữ ký số",
        "letter": {"number": "411/UBND-VP", "date": (now - timedelta(days=1)).date()},
        "legal_basis": ["Nghị định số 68/2024/NĐ-CP"],
        "deadline": now + timedelta(days=10),
        "official_domains": list(DOMAINS),
        "units": [{"code": "TTVH", "name": "Trung tâm Văn hóa", "mailbox": "ttvh@quangninh.gov.vn"}],
        **changes,
    }
    path = folder / "round.yaml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    return path


def test_a_round_goes_from_its_file_to_confirmed_rows(world: World, tmp_path: Path) -> None:
    office = world.office()
    code = f"F-{office.replace('.', '-')}"
    with world.as_(office, "ha"):
        opened = world.hoso("registration", "open", round_file(world, office, tmp_path))
    assert opened.code == 0, opened.err
    assert "1 units, forms nd-68-2024" in opened.out
    units = tmp_path / "units.csv"
    units.write_text(
        "Mã đơn vị,Tên đơn vị,Thư điện tử\nyte,Trạm Y tế,yte@quangninh.gov.vn\n", encoding="utf-8"
    )
    assert "1 new units" in world.type("registration", "units", code, units).out
    filled = tmp_path / "list.xlsx"
    filled.write_bytes(as_xlsx(table_of([somebody_of(1), somebody_of(2)])))
    taken = world.hoso("registration", "import", code, "TTVH", filled)
    assert (taken.code, taken.out) == (0, f"{code} TTVH  2 new, 0 corrected, 0 unchanged, 0 refused\n")
    assert world.type("registration", "submit", code, "TTVH", "--document", "12/TTVH").code == 0
    confirmed = world.type(
        "registration",
        "confirm",
        code,
        "TTVH",
        "--document",
        "13/TTVH",
        "--dated",
        "2026-01-05",
    )
    assert confirmed.out == f"{code} TTVH  2 rows confirmed\n"
    status = world.type("registration", "status", code, "--json").json
    assert (status["answers"]["answered"], status["answers"]["open"]) == (1, 1)
    reminders = tmp_path / "reminders.csv"
    assert "1 units" in world.type("registration", "reminders", code, "--out", reminders).out
    rows = list(csv.reader(reminders.read_text(encoding="utf-8-sig").splitlines()))
    assert rows[1][:4] == ["YTE", "Trạm Y tế", "yte@quangninh.gov.vn", "chưa gửi"]


def test_a_bad_list_ends_with_its_reasons_in_two_languages_and_changes_nothing(
    world: World, tmp_path: Path
) -> None:
    code = round_in(world, world.office())
    bad, reasons = tmp_path / "bad.csv", tmp_path / "reasons.xlsx"
    bad.write_bytes(as_csv(table_of([somebody_of(1), somebody_of(2, email="x@gmail.com", born="1980")])))
    before = world.counts("registration_entry", "registration_person")
    said = world.type("registration", "import", code, "TTVH", bad, "--reasons", reasons)
    assert said.code == 1
    assert "row 3, “Thư điện tử công vụ” is not at an official domain (quangninh.gov.vn) [CER-14]" in said.out
    assert "row 3, “Ngày sinh” is no date (day/month/year) [CER-13]" in said.out
    assert "--accept-good-rows" in said.err
    assert world.counts("registration_entry", "registration_person") == before
    cells = [tuple(cell.text for cell in row.cells) for row in read_rows(reasons.read_bytes())]
    assert (
        "3",
        "Ngày sinh",
        "Dòng 3, cột “Ngày sinh”: không phải ngày hợp lệ (ngày/tháng/năm).",
        "CER-13",
    ) in cells


def test_one_row_is_entered_from_a_form_and_nothing_personal_is_an_argument(
    world: World, tmp_path: Path
) -> None:
    code = round_in(world, world.office())
    form = tmp_path / "form.yaml"
    form.write_text("".join(f"{k}: {v}\n" for k, v in somebody_of(5).items()), encoding="utf-8")
    said = world.type("registration", "enter", code, "YTE", "--form", form)
    assert "1 new" in said.out, said.err
    shown = world.type("registration", "rows", code, "--json").json
    assert [(r["unit"], r["values"]["identity"]) for r in shown] == [("YTE", "022080000005")]
    for text in ("nur Text", "- a\n- b\n", "name: {x: 1}\n", "a: !!python/object:os.system x\n: : :"):
        form.write_text(text, encoding="utf-8")
        assert world.type("registration", "enter", code, "YTE", "--form", form).code == 1


def test_a_row_is_rejected_with_a_reason_that_is_no_argument(world: World, tmp_path: Path) -> None:
    code, listed = round_in(world, world.office()), tmp_path / "list.csv"
    listed.write_bytes(as_csv(table_of([somebody_of(1)])))
    assert world.type("registration", "import", code, "TTVH", listed).code == 0
    row = world.type("registration", "rows", code, "--json").json[0]["id"]
    said = world.type("registration", "reject", code, row, "--why", VECTORS / "reason.txt")
    assert said.out == f"{code} row {row}  rejected, was Draft\n", said.err
    shown = world.type("registration", "rows", code, "--json").json[0]
    assert shown["remark"] == (VECTORS / "reason.txt").read_text(encoding="utf-8").strip()


def test_the_template_can_be_filled_in_and_imported(world: World, tmp_path: Path) -> None:
    import openpyxl

    code = round_in(world, world.office())
    empty, filled = tmp_path / "empty.xlsx", tmp_path / "filled.xlsx"
    assert world.type("registration", "template", code, "--out", empty).code == 0
    book = openpyxl.load_workbook(empty)
    book.active.append(table_of([somebody_of(1)])[1])
    book.save(filled)
    assert "1 new" in world.type("registration", "import", code, "TTVH", filled).out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"deadline": "2026-01-01T17:00:00+07:00"}, "is over"),
        ({"deadline": "2030-01-01T17:00:00"}, "time zone"),
        ({"forms": "tt-08-2016"}, "not in force"),
        ({"office": "H49.NONE"}, "no office"),
        ({"official_domains": []}, "official_domains"),
        ({"units": [{"code": "A", "name": "Đơn vị", "mailbox": "a@gmail.com"}]}, "mailbox"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_round_that_cannot_be_kept_is_not_opened(
    world: World, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    office = world.office()
    path = round_file(world, office, tmp_path, **changes)
    before = world.picture()
    with world.as_(office, "ha"):
        answer = world.type("registration", "open", path)
    assert answer.code == 1
    assert said in answer.err
    assert world.picture() == before


@pytest.mark.parametrize(
    "words",
    [
        ("registration", "import", "NONE", "TTVH", "x.csv"),
        ("registration", "import", "{code}", "TTVH", "missing.csv"),
        ("registration", "import", "{code}", "NONE", "{file}"),
        ("registration", "import", "{code}", "TTVH", "{file}", "--for", "dog"),
        ("registration", "rows", "{code}", "--state", "Gone"),
        ("registration", "extend", "{code}", "--deadline", "soon", "--decision", "1"),
        ("registration", "confirm", "{code}", "TTVH", "--document", "1", "--dated", "soon"),
        ("registration", "unit", "{code}", "a b", "--name", "x"),
        ("registration", "open", "missing.yaml"),
    ],
)
def test_bad_words_are_refused_in_a_sentence(world: World, tmp_path: Path, words: tuple[str, ...]) -> None:
    code, file = round_in(world, world.office()), tmp_path / "list.csv"
    file.write_bytes(as_csv(table_of([somebody_of(1)])))
    before = world.picture()
    said = world.type(*(word.format(code=code, file=file) for word in words), by="ha")
    assert said.code == 1
    assert said.err.startswith("No: ")
    assert world.picture() == before
