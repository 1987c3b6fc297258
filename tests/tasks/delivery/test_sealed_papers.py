"""Receipts and letters that carry the agency's signature on top before they are sent (DOS-11)."""

from __future__ import annotations

import io
import subprocess
import unicodedata
from email.message import EmailMessage
from pathlib import Path

import pikepdf
import pytest
import yaml

from infra.pdf.checking import signatures_of
from infra.services import using
from infra.token import TokenAbsent
from tasks.certification.examining import stop
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.delivery.papers import unsealed_paper
from tasks.dossier.opening import Opening
from tasks.dossier.procedures import SHIPPED
from tasks.dossier.tables import NoticeRow
from tasks.signing.papers import sign_paper
from tests.world import World, somebody

MM = 72 / 25.4


@pytest.fixture(scope="module")
def sealing(running_world: World, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A procedure like the e-copy whose receipts and stop notices the agency signs."""
    changes = {"code": "sealed-papers", "sealed_papers": ["receipt", "stopped"]}
    body = yaml.safe_load((SHIPPED / "e-copy.v1.yaml").read_text(encoding="utf-8")) | changes
    path = tmp_path_factory.mktemp("p") / "sealed-papers.v1.yaml"
    path.write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    with using(running_world.parts):
        said = running_world.type("procedure", "load", path)
    assert said.code == 0, said.err
    return "sealed-papers"


def received(world: World, office: str, procedure: str) -> str:
    opening = Opening(office=office, procedure=procedure, applicant=somebody(), channels=())
    shown = [Presented(kind="Giấy 1", files=(("1.jpg", world.scan),))]
    return receive_walk_in(opening, shown, Receipt(paid="BL-1"), by=world.officer(office)).code


def attached(mail: EmailMessage) -> bytes:
    return bytes(next(mail.iter_attachments()).get_content())


def absent(*_: object, **__: object) -> None:
    raise TokenAbsent("the token is not plugged in")


def notice_of(world: World, code: str, kind: str = "receipt") -> NoticeRow:
    with world.parts.database.transaction() as session:
        (row,) = world.ask("select id from notice where dossier = :d and kind = :k", d=code, k=kind)
        return session.get_one(NoticeRow, row.id)


def test_dos_11_a_receipt_is_signed_on_top_by_the_agency_before_it_is_mailed(
    world: World, sealing: str, tmp_path: Path
) -> None:
    code = received(world, world.office(), sealing)
    world.carry(code)
    world.carry(code)
    (mail,) = world.mails(code)
    pdf = attached(mail)
    (seal,) = signatures_of(pdf, anchors=world.parts.anchors, chain=world.parts.chain)
    assert (seal.field, seal.intact, seal.trusted, seal.covers_whole_file) == ("agency", True, True, True)
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        (field,) = opened.pages[0].Annots
        left, bottom, right, top = (float(edge) / MM for edge in field.Rect)
    assert right == pytest.approx(206, abs=0.1)
    assert top == pytest.approx(293, abs=0.1)
    assert bottom > 297 - 20, "above the letterhead, in the margin"
    assert left > 100
    (tmp_path / "a.pdf").write_bytes(pdf)
    read = subprocess.run(["pdftotext", "-layout", tmp_path / "a.pdf", "-"], capture_output=True, text=True)
    said = " ".join(unicodedata.normalize("NFC", read.stdout).split())
    assert f"Ký bởi: Ủy ban nhân dân xã Thử Nghiệm Thời gian ký: {seal.time:%d/%m/%Y %H:%M:%S} +07:00" in said
    (done,) = [e for e in world.told(code) if e["event"] == "signature:done"]
    assert (done["paper"], done["original"], done["level"]) == ("receipt", 0, "B")
    assert world.type("paper", code, "--out", tmp_path / "b.pdf").code == 0
    assert (tmp_path / "b.pdf").read_bytes() == pdf


def test_while_the_token_is_away_the_letter_waits_by_name_and_nothing_else_does(
    world: World, sealing: str
) -> None:
    office = world.office()
    with world.having(open_token=absent):
        code = received(world, office, sealing)
        world.carry(code)
        world.carry(code)
    assert world.mails(code) == []
    assert world.stage(code) == "AwaitingSignature"
    waits = world.type("show", code, "--json").json
    assert waits["waits_for"] == "AwaitingSignature"
    assert waits["why"].endswith("a paper waits for the agency's seal")
    assert [n["state"] for n in waits["notices"]] == ["awaiting-seal"]
    assert world.events(code).count("notice:awaiting-seal") == 1
    stop(code, "mất điện", by=world.officer(office))
    world.put("update notice set next_try_at = null where dossier = :d", d=code)
    world.carry(code)
    assert sorted(str(mail["Subject"]).split()[0] for mail in world.mails(code)) == ["Giấy", "Thông"]
    for mail in world.mails(code):
        (seal,) = signatures_of(attached(mail), anchors=world.parts.anchors, chain=world.parts.chain)
        assert seal.intact
    assert not world.type("show", code, "--json").json["why"].endswith("seal")


def test_a_paper_is_signed_once_by_whoever_comes_first(world: World, sealing: str) -> None:
    office = world.office()
    code = received(world, office, sealing)
    page = unsealed_paper(code, notice_of(world, code))
    signers = [world.signer(office, "seal") for _ in range(3)]
    answers = world.at_once([lambda s=s: sign_paper(page, s) for s in signers])  # type: ignore[misc]
    assert sorted(map(str, answers)) == ["False", "False", "True"]
    assert sum(s.token.calls for s in signers) == 1
    events = world.events(code)
    assert (events.count("signature:intended"), events.count("signature:done")) == (1, 1)


def test_a_paper_that_was_stored_by_a_process_that_died_is_kept_and_not_signed_again(
    world: World, sealing: str
) -> None:
    office = world.office()
    code = received(world, office, sealing)
    page = unsealed_paper(code, notice_of(world, code))

    class Dies:
        """A store that dies after it has stored the first one."""

        def __getattr__(self, name: str) -> object:
            return getattr(world.parts.work, name)

        def put_first(self, *words: object, **more: object) -> None:
            world.parts.work.put_first(*words, **more)  # type: ignore[arg-type]
            raise SystemExit

    first, second = world.signer(office, "seal"), world.signer(office, "seal")
    with world.having(work=Dies()), pytest.raises(SystemExit):
        sign_paper(page, first)
    assert sign_paper(page, second)
    assert (first.token.calls, second.token.calls) == (1, 0)
    world.carry(code)
    assert len(world.mails(code)) == 1
    assert world.events(code).count("signature:done") == 1


def test_a_procedure_that_does_not_ask_for_it_sends_its_papers_unsigned(world: World) -> None:
    office = world.office()
    code = received(world, office, "e-copy")
    world.carry(code)
    (mail,) = world.mails(code)
    assert signatures_of(attached(mail), anchors=world.parts.anchors, chain=world.parts.chain) == []
