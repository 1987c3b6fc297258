"""A letter from office to office: sent, taken in, answered, recalled, each with its own database (QĐ 28/2018)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.clock import HANOI
from infra.errors import Unavailable
from infra.pdf.checking import signatures_of
from infra.services import using
from infra.sheets import read_rows
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.dossier.opening import Opening
from tasks.dossier.papers import newest, read
from tasks.exchange import snapshots
from tasks.exchange.organisations import resolve
from tasks.exchange.reconciling import compare_books
from tests.tasks.exchange.offices import Office, Two, two_offices
from tests.world import RETURN, World, somebody


@pytest.fixture(scope="module")
def two(running_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with using(running_world.parts), two_offices(running_world, tmp_path_factory.mktemp("two")) as both:
        yield both


@pytest.fixture(scope="module")
def pdf(two: Two, form: bytes) -> bytes:
    return two.a.signed(form)


def test_a_letter_goes_from_office_to_office_and_is_acknowledged(
    two: Two, pdf: bytes, tmp_path: Path
) -> None:
    code = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
    assert two.a.show(code)["waits_for"] == "Sending"
    two.post()
    (came,) = [one for one in two.b.inbox() if one["waits_for"] == "AwaitingAcceptance"]
    taken = two.b.show(came["code"])
    assert (taken["legal_effect"], taken["document_id"]) == (
        "replaces-paper",
        two.a.show(code)["document_id"],
    )
    assert [f["sha256"] for f in taken["files"]] == [f["sha256"] for f in two.a.show(code)["files"]]
    assert taken["files"][0]["verdict"]["signatures"][0]["intact"] is True
    two.b.type("accept", came["code"])
    two.b.type("progress", came["code"], "05")
    two.b.type("progress", came["code"], "06")
    two.post()
    sent = two.a.show(code)
    assert [one["code"] for one in sent["statuses"]] == ["01", "03", "05", "06"]
    assert (sent["state"], sent["waits_for"]) == ("sent", "Done")
    assert two.a.events(code) == [
        "exchange:queued",
        "exchange:package-intended",
        "exchange:package-signed",
        "exchange:sent",
        *["exchange:status", "exchange:came-taken"] * 4,
    ]


def sent(two: Two, pdf: bytes, folder: Path, **more: Any) -> tuple[str, str]:
    """Send a letter from A to B; return its codes here and there."""
    code = two.a.letter(two.b.code, folder, pdf, **more).json["code"]
    two.a.post()
    two.b.post()
    name = two.a.show(code)["document_id"]
    (came,) = [c for c in (r["code"] for r in two.b.inbox("--all")) if two.b.show(c)["document_id"] == name]
    return code, came


def why(folder: Path, text: str) -> Path:
    (folder / "why.txt").write_text(text)
    return folder / "why.txt"


def test_exc_01_a_secret_document_is_refused_before_its_file_is_read(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    before = len(two.a.inbox("--sent", "--all"))
    said = two.a.letter(two.b.code, tmp_path, b"no PDF at all", expect=1, secrecy="Mật")
    assert "[EXC-01]" in said.err
    assert len(two.a.inbox("--sent", "--all")) == before
    told = two.a.events(two.a.code)
    assert told[-1] == "exchange:secret-refused"


def test_exc_02_only_a_signed_document_replaces_paper(two: Two, tmp_path: Path, form: bytes) -> None:
    assert "[EXC-02]" in two.a.letter(two.b.code, tmp_path, form, expect=1).err
    code = two.a.letter(two.b.code, tmp_path, form, for_information=True).json["code"]
    assert two.a.show(code)["legal_effect"] == "for-information"


def test_exc_06_a_document_whose_signature_is_broken_does_not_leave(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    broken = pdf.replace(b"/AcroForm 3 0 R /Pages 4 0 R", b"/Pages 4 0 R /AcroForm 3 0 R", 1)
    assert "[EXC-06]" in two.a.letter(two.b.code, tmp_path, broken, expect=1).err


def test_org_05_an_agency_that_the_directory_does_not_hold_is_refused(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    assert "[ORG-05]" in two.a.letter("H99.1", tmp_path, pdf, expect=1).err
    assert "[ORG-02]" in two.a.letter("nowhere", tmp_path, pdf, expect=1).err


def test_the_same_letter_again_is_the_same_document_and_another_one_of_its_number_is_an_update(
    two: Two, tmp_path: Path, pdf: bytes, form: bytes
) -> None:
    code, came = sent(two, pdf, tmp_path, number="900")
    assert two.a.letter(two.b.code, tmp_path, pdf, number="900").json["code"] == code
    other = two.a.signed(form + b"\n")
    assert "[STA-05]" in two.a.letter(two.b.code, tmp_path, other, number="900", expect=1).err
    newer = two.a.letter(two.b.code, tmp_path, other, number="900", updates=code).json["code"]
    two.post()
    assert two.b.show(came)["state"] == "cancelled"
    assert two.b.chain(came) == ["01", "13", "15"]
    assert two.a.show(newer)["business"] == 2
    assert two.a.chain(newer) == ["01"]


def test_a_returned_letter_says_why(two: Two, tmp_path: Path, pdf: bytes) -> None:
    code, came = sent(two, pdf, tmp_path)
    two.b.type("return", came, "--why", why(tmp_path, "  "), expect=1)
    two.b.type("return", came, "--why", why(tmp_path, "Gửi nhầm cơ quan"))
    two.b.type("return", came, "--why", why(tmp_path, "Gửi nhầm cơ quan"))
    two.post()
    assert [(s["code"], s["reason"]) for s in two.a.show(code)["statuses"]] == [
        ("01", ""),
        ("02", "Gửi nhầm cơ quan"),
    ]
    assert two.a.show(code)["waits_for"] == "Done"
    assert "[STA-02]" in two.b.type("accept", came, expect=1).err


def test_sta_04_a_recall_before_it_left_sends_nothing(two: Two, tmp_path: Path, pdf: bytes) -> None:
    code = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
    before = len(two.axis.notes())
    said = two.a.json("recall", code, "--why", why(tmp_path, "Sai số"))
    assert said["recall"] == "cancelled"
    two.post()
    assert len(two.axis.notes()) == before
    assert two.a.show(code)["state"] == "cancelled"


def test_exc_10_what_is_not_registered_is_given_back_by_itself_and_only_its_name_stays(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    code, came = sent(two, pdf, tmp_path)
    assert two.a.json("recall", code, "--why", why(tmp_path, "Sai nội dung"))["recall"] == "asked"
    two.post()
    assert two.b.chain(came) == ["01", "13", "15"]
    assert two.a.chain(code) == ["13", "01", "15"], "the wish and the arrival crossed on their way"
    seen = two.b.show(came)
    assert (seen["state"], seen["letter"]) == ("cancelled", None)
    assert seen["files"][0]["sha256"]
    assert "[EXC-10]" in two.b.type("accept", came, expect=1).err


@pytest.mark.parametrize("agree", [True, False])
def test_sta_06_a_registered_one_waits_for_a_person(
    two: Two, tmp_path: Path, pdf: bytes, agree: bool
) -> None:
    code, came = sent(two, pdf, tmp_path)
    two.b.type("accept", came)
    two.a.post()
    two.b.post()
    two.a.type("recall", code, "--why", why(tmp_path, "Sai nội dung"))
    two.post()
    assert two.b.show(came)["waits_for"] == "AwaitingDecision"
    assert two.a.show(code)["waits_for"] == "AwaitingReturn"
    more = () if agree else ("--refuse", "--why", why(tmp_path, "Đã ban hành kết quả"))
    two.b.type("confirm", came, *more, by="thu")
    two.post()
    assert two.b.chain(came) == ["01", "03", "13", "15" if agree else "16"]
    assert sorted(two.a.chain(code)) == two.b.chain(came)
    assert two.b.show(came)["state"] == ("cancelled" if agree else "registered")


def test_what_comes_twice_is_there_once_and_what_lost_its_answer_was_sent_once(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    two.axis.will("twice")
    _, came = sent(two, pdf, tmp_path)
    assert two.b.chain(came) == ["01"]
    two.axis.will("lose-answer")
    other = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
    two.a.post()
    two.a.again()
    two.post()
    kept = [n for n in two.axis.notes() if n["kind"] == "edoc"]
    assert len({n["sha256"] for n in kept}) == len(kept) - 1, (
        "only the one that was to come twice is there twice"
    )
    assert two.a.chain(other) == ["01"]
    assert "exchange:try-put-off" in two.a.events(other)


def test_what_overtook_is_held_until_what_it_belongs_to_has_come(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    code, came = sent(two, pdf, tmp_path)
    two.b.type("accept", came)
    two.b.type("progress", came, "05")
    two.b.post()
    two.axis.will("reorder")
    two.post()
    assert two.a.chain(code) == ["01", "03", "05"]


def test_what_is_damaged_on_its_way_is_fetched_again(two: Two, tmp_path: Path, pdf: bytes) -> None:
    code = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
    two.a.post()
    two.axis.will("damage")
    two.b.post()
    assert [
        r for r in two.b.inbox() if two.b.show(r["code"])["document_id"] == two.a.show(code)["document_id"]
    ] == []
    two.post()
    assert two.a.chain(code) == ["01"]
    assert "exchange:damaged" in two.b.events(two.b.code)


def test_what_is_damaged_each_time_is_set_aside_and_the_axis_is_not_told_that_it_was_taken(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    code = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
    two.a.post()
    (note,) = [one for one in two.axis.notes() if one["id"] == two.a.show(code)["packages"][0]["axis_id"]]
    for _ in range(5):
        two.axis.will("damage")
        two.b.post()
    (after,) = [one for one in two.axis.notes() if one["id"] == note["id"]]
    assert after["states"] == {two.b.code: "fail"}
    aside = [one for one in two.b.inbox("--aside") if one["axis_id"] == note["id"]]
    assert [one["state"] for one in aside] == ["set-aside"]
    assert two.a.chain(code) == []


def test_one_that_cannot_leave_keeps_no_other_back(two: Two, tmp_path: Path, pdf: bytes, form: bytes) -> None:
    lost = two.a.signed(form + b"\n\n")
    codes = [two.a.letter(two.b.code, tmp_path, one).json["code"] for one in (pdf, lost, pdf, pdf)]
    with using(two.a.parts):
        (file,) = two.a.world.ask("select key from exchange_file where document = :c", c=codes[1])
        two.a.parts.work.remove(file.key)
    two.post()
    assert [two.a.chain(code) for code in codes] == [["01"], [], ["01"], ["01"]]
    assert two.a.show(codes[1])["waits_for"] == "NeedsAttention"
    left = [
        note["place"]
        for code in codes
        for note in two.axis.notes()
        if note["id"] == two.a.show(code)["packages"][0]["axis_id"]
    ]
    assert len(left) == 3
    assert left == sorted(left), "they left in the order in which they were queued"
    two.a.parts.work.put(file.key, lost, content_type="application/pdf")
    two.a.type("resend", codes[1])
    two.post()
    assert two.a.chain(codes[1]) == ["01"]


def test_sta_05_after_five_tries_a_person_is_asked_and_sends_it_again(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    code = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
    two.axis.stop()
    for _ in range(7):
        two.a.post()
        two.a.again()
    seen = two.a.show(code)
    assert [(p["state"], p["attempts"]) for p in seen["packages"]] == [("dead", 5)]
    assert seen["waits_for"] == "NeedsAttention"
    assert [row["document"] for row in two.a.inbox("--dead")] == [code]
    two.axis.start()
    assert two.a.json("resend", code)["packages"] == 1
    two.post()
    assert two.a.chain(code) == ["01"]
    assert two.a.inbox("--dead") == []
    assert two.a.events(code).count("exchange:package-signed") == 1, "the token was asked once"


def test_what_is_wrong_is_kept_aside_and_its_sender_told_why(two: Two, tmp_path: Path, pdf: bytes) -> None:
    with using(two.b.parts):
        two.b.world.put(
            "update exchange_organisation set certificates = '[\"" + "0" * 64 + "\"]' where code = :c",
            c=two.a.code,
        )
    try:
        code = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
        before = len(two.b.inbox("--all"))
        two.post()
        assert len(two.b.inbox("--all")) == before, "nothing of it is registered"
        aside = two.b.inbox("--aside")[0]
        assert "M.edXMLHeader.Signature.KeyInfo" in aside["faults"][0]
        (arrived, returned) = two.a.show(code)["statuses"]
        assert (arrived["code"], returned["code"]) == ("01", "02")
        assert "M.edXMLHeader.Signature.KeyInfo" in returned["reason"]
    finally:
        with using(two.b.parts):
            two.b.world.put(
                "update exchange_organisation set certificates = cast(:v as jsonb) where code = :c",
                c=two.a.code,
                v=json.dumps([two.a.certificate()]),
            )


def test_org_06_an_office_of_this_system_gets_it_without_the_axis(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    with using(two.a.parts):
        near = Office(world=two.a.world, code=two.a.world.office())
    names = tmp_path / "names.csv"
    names.write_text(
        f"Mã định danh;Tên cơ quan;Chứng thư số\n{near.code};Xã bên;{near.certificate()}\nxx;Sai;\n"
    )
    found = two.a.json("organisations", "--import", names, by="an")
    assert (found["new"], [one["row"] for one in found["rejected"]]) == (1, [3])
    before = len(two.axis.notes())
    code = two.a.letter(near.code, tmp_path, pdf).json["code"]
    two.a.post()
    two.a.post()
    assert len(two.axis.notes()) == before
    (came,) = near.inbox()
    near.type("accept", came["code"])
    two.a.post()
    assert two.a.chain(code) == ["01", "03"]


def test_org_06_offices_of_one_system_know_each_others_certificates_without_the_directory(
    two: Two, tmp_path: Path, form: bytes
) -> None:
    with using(two.a.parts):
        here, there = (Office(world=two.a.world, code=two.a.world.office()) for _ in range(2))
    names = tmp_path / "names.csv"
    names.write_text(f"Mã định danh;Tên cơ quan;Chứng thư số\n{there.code};Tên khác;{'0' * 64}\n")
    two.a.type("organisations", "--import", names, by="an")
    code = here.letter(there.code, tmp_path, here.signed(form)).json["code"]
    here.post()
    (came,) = there.inbox()
    there.type("return", came["code"], "--why", why(tmp_path, "Gửi nhầm cơ quan"))
    here.post()
    assert here.chain(code) == ["01", "02"], "the sender sees what became of it"
    assert (here.inbox("--aside"), there.inbox("--aside")) == ([], [])


def test_org_06_a_package_in_an_offices_name_with_a_certificate_that_is_not_its_own_is_kept_aside(
    two: Two, tmp_path: Path, form: bytes
) -> None:
    with using(two.a.parts):
        here, there = (Office(world=two.a.world, code=two.a.world.office()) for _ in range(2))
    names = tmp_path / "names.csv"
    names.write_text(f"Mã định danh;Tên cơ quan\n{there.code};Tên khác\n{here.code};Tên này\n")
    two.a.type("organisations", "--import", names, by="an")
    code = here.letter(there.code, tmp_path, here.signed(form)).json["code"]
    with using(two.a.parts):
        two.a.world.put(
            "update certificate set revoked_at = clock_timestamp() + interval '1 hour' where sha256 = :c",
            c=here.certificate(),
        )
    here.post()
    assert there.inbox() == []
    (aside,) = there.inbox("--aside")
    assert "M.edXMLHeader.Signature.KeyInfo" in aside["faults"][0]
    here.post()
    (arrived, returned) = here.show(code)["statuses"]
    assert (arrived["code"], returned["code"]) == ("01", "02"), "its sender is told why"


def test_each_night_what_the_axis_lost_is_sent_again_under_its_old_key(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    code, _ = sent(two, pdf, tmp_path)
    with using(two.a.parts):
        agreed = compare_books(two.a.code)
        assert (agreed.missing, agreed.unknown) == (0, 0)
    two.axis.stop()
    key = two.a.show(code)["packages"][0]["axis_id"]
    for end in ("json", "xml"):
        (two.axis.folder / "packages" / f"{key}.{end}").unlink()
    two.axis.start()
    with using(two.a.parts):
        assert compare_books(two.a.code).missing == 1
    two.post()
    assert two.a.chain(code) == ["01"], "the receiver knows it already"
    with using(two.a.parts):
        assert compare_books(two.a.code).missing == 0


def test_dos_27_a_result_that_comes_for_an_open_dossier_is_returned_without_retyping(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    with using(two.b.parts):
        world = two.b.world
        awaited = Presented(kind="Giấy phép xây dựng", files=(), awaited=True)
        opening = Opening(office=two.b.code, procedure=RETURN, applicant=somebody(), channels=("email",))
        dossier = receive_walk_in(opening, [awaited], Receipt(), by=world.officer(two.b.code)).code
        world.carry(dossier)
        assert world.type("status", dossier, "--json").json["waits_for"] == "AwaitingResult"
    answers = [{"organ": two.b.code, "code": dossier}]
    _, came = sent(two, pdf, tmp_path, type="Giấy phép", answers=answers)
    assert two.b.json("accept", came)["dossier"] == dossier
    assert two.b.json("accept", came)["dossier"] == dossier
    with using(two.b.parts):
        world.carry(dossier)
        assert world.stage(dossier) == "Returned"
        assert world.events(dossier).count("result:came") == 1
        with world.parts.database.transaction() as session:
            row = newest(session, dossier, 1, "sealed")
        assert row is not None
        assert read(row).startswith(pdf), "the agency's own file, with the centre's block behind it"


def test_exc_03_a_procedure_sends_its_results_by_itself(two: Two, tmp_path: Path, pdf: bytes) -> None:
    with using(two.a.parts):
        world = two.a.world
        world.put(
            "update procedure set body = jsonb_set(body, '{exchanged_with}', cast(:to as jsonb)) where code = :c",
            c=RETURN,
            to=json.dumps([two.b.code]),
        )
        shown = Presented(kind="Giấy phép", files=(("result.pdf", pdf),), pages=1)
        opening = Opening(office=two.a.code, procedure=RETURN, applicant=somebody(), channels=("email",))
        code = receive_walk_in(opening, [shown], Receipt(), by=world.officer(two.a.code)).code
        try:
            world.carry(code)
            world.carry(code)
        finally:
            world.put("update procedure set body = body - 'exchanged_with' where code = :c", c=RETURN)
        (row,) = world.ask("select code from exchange_document where dossier = :d", d=code)
    two.post()
    assert two.a.chain(row.code) == ["01"]
    assert two.a.show(row.code)["legal_effect"] == "replaces-paper"


def test_rep_04_the_report_says_by_agency_what_went_and_came_and_who_did_not_take_part(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    names = tmp_path / "silent.csv"
    names.write_text("Mã định danh;Tên cơ quan\nH77.1;Cơ quan im lặng\n")
    two.b.type("organisations", "--import", names, by="an")
    before = {one["agency"]: one for one in two.b.json("report", two.b.code, by="thu")["lines"]}
    _, came = sent(two, pdf, tmp_path)
    _, back = sent(two, pdf, tmp_path)
    two.b.type("accept", came)
    two.b.type("return", back, "--why", why(tmp_path, "Gửi nhầm"))
    two.post()
    theirs = two.b.json("report", two.b.code, by="thu")
    line = next(one for one in theirs["lines"] if one["agency"] == two.a.code)
    assert line["received"] == before[two.a.code]["received"] + 2
    assert "H77.1" in theirs["missing"]
    ours = next(x for x in two.a.json("report", two.a.code, by="thu")["lines"] if x["agency"] == two.b.code)
    assert ours["returned"] >= 1
    assert ours["acknowledged_same_day"] >= 2
    two.b.type("report", two.b.code, "--out", tmp_path / "r.xlsx", by="thu")
    texts = [c.text for row in read_rows((tmp_path / "r.xlsx").read_bytes()) for c in row.cells]
    assert {two.a.code, "H77.1"} <= set(texts)
    two.b.type("report", two.b.code, "--out", tmp_path / "r.pdf", by="thu")
    parts = two.b.parts
    (found,) = signatures_of((tmp_path / "r.pdf").read_bytes(), anchors=parts.anchors, chain=parts.chain)
    assert (found.field, found.intact, found.trusted) == ("agency", True, True)
    two.b.type("report", two.b.code, "--out", tmp_path / "again.pdf", by="thu")
    assert (tmp_path / "again.pdf").read_bytes() == (tmp_path / "r.pdf").read_bytes(), (
        "nothing has changed since"
    )


def test_rep_04_a_period_that_is_over_is_counted_and_signed_once(
    two: Two, tmp_path: Path, pdf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = two.a.code
    sent(two, pdf, tmp_path)
    with using(two.a.parts):
        today = two.a.parts.clock.now().astimezone(HANOI).date()
        two.a.world.put(
            "update exchange_document set sent_at = sent_at - interval '1 day' where office = :o", o=office
        )
    days = ("--from", today - timedelta(days=2), "--to", today - timedelta(days=1))
    name = f"exchange/report/{office}/{days[1]}_{days[3]}"
    for died in (True, False):
        with monkeypatch.context() as patch:
            if died:  # in the moment after the file was stored
                patch.setattr(snapshots, "_tell", _dies_when_signed(snapshots._tell))
            two.a.type(
                "report", office, *days, "--out", tmp_path / "1.pdf", by="thu", expect=4 if died else 0
            )
    first = two.a.json("report", office, *days, by="thu")
    assert two.a.events(name) == ["exchange:report-intended", "exchange:report-signed"]
    with using(two.a.parts):
        two.a.world.put(
            "update exchange_document set sent_at = sent_at + interval '9 days' where office = :o", o=office
        )
    assert two.a.json("report", office, *days, by="thu") == first, "what was counted stays"
    for out in ("2.pdf", "1.xlsx", "2.xlsx"):
        two.a.type("report", office, *days, "--out", tmp_path / out, by="thu")
    assert (tmp_path / "1.pdf").read_bytes() == (tmp_path / "2.pdf").read_bytes()
    assert (tmp_path / "1.xlsx").read_bytes() == (tmp_path / "2.xlsx").read_bytes()
    assert two.a.events(name) == ["exchange:report-intended", "exchange:report-signed"], (
        "the token was asked once"
    )


def _dies_when_signed(tell: Any) -> Any:
    def told(found: Any, by: Any, what: str, facts: Any) -> None:
        if what == "signed":
            raise Unavailable("it ends here")
        tell(found, by, what, facts)

    return told


def test_org_03_what_is_sent_to_an_agency_that_was_merged_goes_to_its_successor_from_that_day_on(
    two: Two, tmp_path: Path, pdf: bytes
) -> None:
    names = tmp_path / "merged.csv"
    names.write_text(
        "Mã định danh,Tên cơ quan,Mã cũ,Hiệu lực đến,Cơ quan kế thừa\n"
        "H78.9,UBND xã cũ,000.09.00.H78,2026-06-30,H78.10\n"
        f"H78.10,UBND xã mới,,2026-09-30,{two.b.code}\n"
        "H78.11,UBND xã không ai kế thừa,,2026-06-30,\n"
    )
    two.a.type("organisations", "--import", names, by="an")
    with using(two.a.parts), two.a.parts.database.transaction() as session:
        for day, heir in (("2026-06-30", "H78.9"), ("2026-07-01", "H78.10"), ("2026-10-01", two.b.code)):
            for code in ("H78.9", "000.09.00.H78"):
                assert resolve(session, code, date.fromisoformat(day)).code == heir
    code = two.a.letter("000.09.00.H78", tmp_path, pdf).json["code"]
    two.post()
    assert [one["organ"] for one in two.a.show(code)["recipients"]] == [two.b.code]
    assert two.a.chain(code) == ["01"]
    assert "ORG-03" in two.a.letter("H78.11", tmp_path, pdf, expect=1).err
