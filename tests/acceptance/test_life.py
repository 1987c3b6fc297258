"""One dossier from the booked appointment to the archive, typed as people at the office type it, on real parts."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from infra.services import using
from infra.stack.sample_scans import make_scans
from tests.world import IMAGES, VECTORS, World

#: What the warm worker does once a dossier is asked to go on.
CARRY = "import asyncio, sys; from flows.dossier import carry; asyncio.run(carry(sys.argv[1]))"
OFFICE = "H49.21"
REASON = str(VECTORS / "reason.txt")
APPLICANT = {
    "name": "Trần Thị Sen",
    "identity": "022000000099",
    "address": "Thôn Nà Làng, xã Bình Liêu",
    "telephone": "0900 000 000",
    "email": "sen.tran@citizen.example",
}


def done(world: World, *words: object, by: str = "") -> Any:
    """Run a command that must succeed and return what it printed as JSON."""
    said = world.hoso(*words, "--json", by=by)
    assert said.code == 0, said.err
    return said.json


@pytest.fixture(scope="module")
def life(running_world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Live one life with two originals and return what each command said."""
    world, folder = running_world, tmp_path_factory.mktemp("life")
    tokens = world.settings.trust_anchors.parent / "tokens.json"
    said: dict[str, Any] = {"folder": folder, "stages": []}

    def stand(expected: str) -> None:
        said["stages"].append(done(world, "status", code)["waits_for"])
        assert said["stages"][-1] == expected

    def carried(expected: str) -> None:
        with using(world.parts):
            world.carry(code)
        stand(expected)

    def sealed(expected: str) -> None:
        # The seal's key is on a real token, which only a process of its own can open beside other tests.
        ended = world.run(CARRY, code)
        assert ended.code == 0, ended.err
        stand(expected)

    done(world, "office", "load", IMAGES / "office.yaml", "--keys", tokens)
    (folder / "applicant.json").write_text(json.dumps(APPLICANT), encoding="utf-8")
    person = ("--applicant", folder / "applicant.json")
    code = said["code"] = done(world, "book", "--office", OFFICE, *person)["code"]
    carried("Booked")
    originals: list[object] = []
    for scan in make_scans(folder / "scans"):
        originals += ["--original", scan.kind, *scan.files, "--pages", scan.pages]
    done(world, "receive", code, *originals)
    stand("PaymentDue")
    said["fee"] = done(world, "pay", code, "--receipt", "BL-1")["paid"]
    carried("AwaitingSignature")
    said["list"] = done(world, "sign", "--list", "--office", OFFICE, "--only", code, by="ha")
    pin = world.root / "secrets" / "pin_officials"
    said["outcomes"] = done(world, "sign", "--manifest", said["list"]["digest"], "--pin-file", pin, by="ha")
    sealed("AwaitingArchive")
    done(world, "archive", code)
    carried("Archived")
    for ordinal in (1, 2):
        out = world.hoso("document", code, ordinal, "--out", folder / f"result-{ordinal}.pdf")
        assert out.code == 0, out.err
    assert world.hoso("paper", code, "--out", folder / "receipt.pdf").code == 0
    said["show"] = done(world, "show", code)
    return said


def test_the_life_ends_in_the_archive_with_each_act_told_in_order(life: dict[str, Any]) -> None:
    assert life["show"]["stage"] == "Archived"
    moves = [(e["from"], e["to"]) for e in life["show"]["history"] if e["from"] != e["to"]]
    stages = [before for before, _ in moves] + [moves[-1][1]]
    assert stages == [
        "Booked", "Received", "PaymentDue", "Received", "Certified", "AwaitingSignature",
        "AwaitingSeal", "Signed", "Returned", "Archived",
    ]  # fmt: skip
    for (_, after), (before, _) in pairwise(moves):
        assert after == before


def test_cert_32_the_fee_is_that_of_three_pages_in_two_originals(life: dict[str, Any]) -> None:
    assert life["fee"] == 2000 + 4000


def test_exactly_the_listed_documents_were_signed(life: dict[str, Any]) -> None:
    assert [(d["dossier"], d["original"]) for d in life["list"]["documents"]] == [
        (life["code"], 1),
        (life["code"], 2),
    ]
    assert [outcome["result"] for outcome in life["outcomes"]] == ["signed", "signed"]
    intended = [e for e in life["show"]["history"] if e["event"] == "signature:intended"]
    listed = {d["sha256"] for d in life["list"]["documents"]}
    assert {e["doc"]["sha256"] for e in intended if e["field"] == "official_1"} == listed


def test_cert_23_each_original_has_a_number_of_its_own_that_ended_certified(
    life: dict[str, Any], world: World
) -> None:
    numbers = [original["number"] for original in life["show"]["originals"]]
    assert len(set(numbers)) == 2
    register = done(world, "register", OFFICE)
    held = {line["number"]: line["state"] for line in register if line["dossier"] == life["code"]}
    assert held == dict.fromkeys(numbers, "certified")


@pytest.mark.parametrize("ordinal", [1, 2])
def test_poppler_says_that_both_signatures_are_valid(
    life: dict[str, Any], world: World, ordinal: int
) -> None:
    tool = shutil.which("pdfsig")
    if tool is None:
        pytest.skip("pdfsig is not installed")
    store = nss_with(world.settings.trust_anchors, life["folder"] / f"nss-{ordinal}")
    said = subprocess.run(
        [tool, "-no-ocsp", *store, life["folder"] / f"result-{ordinal}.pdf"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.count("Signature is Valid.") == 2
    assert said.count("Total document signed") == 1
    if store:
        assert said.count("Certificate is Trusted.") == 2


def nss_with(anchors: Path, folder: Path) -> list[str]:
    """Return poppler's options for a certificate store that trusts only these; none without certutil."""
    tool = shutil.which("certutil")
    if tool is None:
        return []
    folder.mkdir()
    database = f"sql:{folder}"
    subprocess.run([tool, "-N", "-d", database, "--empty-password"], check=True, capture_output=True)
    for number, anchor in enumerate(sorted(anchors.glob("*.pem"))):
        trust = [tool, "-A", "-d", database, "-n", f"anchor{number}", "-t", "CT,C,C", "-i", str(anchor)]
        subprocess.run(trust, check=True, capture_output=True)
    # The addresses of a test authority lead nowhere.
    return ["-nssdir", str(folder), "-no-ocsp"]


def test_the_result_that_was_mailed_archived_and_written_out_is_the_same_file(
    life: dict[str, Any], world: World
) -> None:
    code = life["code"]
    mails = world.mails(code)
    subjects = [mail["Subject"].partition(" – ")[0] for mail in mails]
    assert sorted(subjects) == sorted(
        ["Xác nhận lịch hẹn", "Giấy tiếp nhận hồ sơ và hẹn trả kết quả", f"Kết quả hồ sơ {code}"]
    )
    result = next(mail for mail in mails if mail["Subject"] == f"Kết quả hồ sơ {code}")
    attached = {a.get_filename(): a.get_content() for a in result.iter_attachments()}
    assert set(attached) == {f"{code}-1.pdf", f"{code}-2.pdf"}
    locked = {o["sha256"] for o in life["show"]["objects"]}
    for original in life["show"]["originals"]:
        written = (life["folder"] / f"result-{original['ordinal']}.pdf").read_bytes()
        assert attached[f"{code}-{original['ordinal']}.pdf"] == written
        assert hashlib.sha256(written).hexdigest() == original["sha256"]
        assert original["sha256"] in locked


def test_cert_05_the_e_mail_says_how_to_check_the_result_and_names_nobody(
    life: dict[str, Any], world: World
) -> None:
    result = next(m for m in world.mails(life["code"]) if str(m["Subject"]).startswith("Kết quả"))
    body = result.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert world.settings.verify_url in text
    assert life["code"] in text
    assert result["From"] == "motcua@binhlieu.example"
    for personal in (APPLICANT["name"], APPLICANT["identity"], "Sen"):
        assert personal not in text
        assert personal not in str(result["Subject"])


def test_everything_in_the_archive_is_locked_for_twenty_years_after_this_one(
    life: dict[str, Any], world: World
) -> None:
    year = world.parts.clock.now().year
    assert life["show"]["objects"]
    for stored in life["show"]["objects"]:
        assert stored["mode"] == "COMPLIANCE"
        assert stored["retain_until"].startswith((f"{year + 20}-12-31", f"{year + 21}-01-01"))
        found, content = world.parts.archive.read_back(stored["key"], stored["version_id"])
        assert hashlib.sha256(content).hexdigest() == stored["sha256"]
        assert found.mode == "COMPLIANCE"


def test_status_says_stage_and_due_time_and_nothing_about_a_person(
    life: dict[str, Any], world: World
) -> None:
    for words in (("status", life["code"]), ("show", life["code"]), ("list",), ("results", "--all")):
        for form in ([], ["--json"]):
            said = world.type(*words, *form)
            assert said.code == 0
            for value in APPLICANT.values():
                assert value not in said.out
    assert set(done(world, "status", life["code"])) == {
        "code", "stage", "waits_for", "due_at", "portal_code", "maintenance_until",
    }  # fmt: skip


def test_dos_07_the_portal_heard_every_status_code_in_order(life: dict[str, Any], world: World) -> None:
    notes = [json.loads(f.read_text()) for f in (world.root / "portal" / "reports").glob("*.json")]
    heard = sorted((n["sequence"], n["code"]) for n in notes if n["reference"] == life["code"])
    assert heard == list(enumerate([1, 2, 6, 4, 9, 10]))


def test_a_certified_copy_is_never_published(life: dict[str, Any], world: World) -> None:
    published = done(world, "results")
    assert [row for row in published if row["dossier"] == life["code"]] == []
    released = [
        row for row in done(world, "results", "--all", "--office", OFFICE) if row["dossier"] == life["code"]
    ]
    assert [row["standing"] for row in released] == ["valid", "valid"]


def test_the_receipt_is_a_pdf_with_the_code_and_the_due_time(life: dict[str, Any]) -> None:
    tool = shutil.which("pdftotext")
    if tool is None:
        pytest.skip("pdftotext is not installed")
    text = subprocess.run(
        [tool, "-layout", life["folder"] / "receipt.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    assert life["code"] in text
    assert APPLICANT["name"] in text


class TestDoneTwice:
    """Every act may be repeated after the end of the life; none does anything, none takes anything away."""

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("pay", "CODE", "--receipt", "BL-2"), 0),
            (("receive", "CODE", "--original", "Giấy", "SCAN"), 1),
            (("cancel", "CODE"), 1),
            (("withdraw", "CODE", "--why", REASON), 1),
            (("stop", "CODE", "--why", REASON), 1),
            (("resume", "CODE", "--why", REASON), 1),
            (("ask", "CODE", "--missing", REASON), 1),
            (("decline", "CODE", "--reason", "R1"), 1),
            (("decline", "CODE", "1", "--reason", "R1"), 1),
            (("leave-out", "CODE", "1", "--why", REASON, "--by", "ha"), 1),
            (("redirect", "CODE", "--channel", "email"), 1),
            (("confirm", "CODE", "--channel", "email"), 1),
            (("archive", "CODE"), 0),
        ],
        ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
    )
    def test_an_act_after_the_end_changes_nothing(
        self, life: dict[str, Any], world: World, words: tuple[str, ...], code: int
    ) -> None:
        scan = life["folder"] / "scans" / "bang-tot-nghiep.pdf"
        before = world.picture()
        said = world.type(*(life["code"] if w == "CODE" else scan if w == "SCAN" else w for w in words))
        assert said.code == code, said.err
        assert world.picture() == before
        assert world.stage(life["code"]) == "Archived"
