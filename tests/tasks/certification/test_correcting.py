"""What was received wrongly is corrected before anybody signs: the number stays, the bytes are a new revision."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import Forbidden
from tasks.certification.correcting import correct_applicant, correct_original
from tasks.certification.scanning import Presented
from tasks.signing.acts import sign_list, unlock_list, write_list
from tasks.signing.keys import official_key
from tasks.signing.steps import sign_original
from tests.world import PIN, World, small_scan, together


def signed(world: World, office: str, digest: str) -> list[str]:
    """Sign a list and return what became of each document."""
    chosen = unlock_list(digest, "ha", at=office)
    with official_key(office, "ha", PIN) as key:
        done = sign_list(chosen, together(key))
    return [outcome.result for outcome in done]


def number(world: World, code: str) -> list[tuple[int, str]]:
    """Return a dossier's certification numbers with their states."""
    rows = world.ask("select number, state from register_entry where dossier = :c order by ordinal", c=code)
    return [(row.number, row.state) for row in rows]


@pytest.mark.parametrize("what", ["kind", "scan"])
def test_the_number_stays_the_old_copy_is_kept_and_an_old_list_leaves_it_out(world: World, what: str) -> None:
    office = world.office()
    code, other = world.frozen(office), world.frozen(office)
    digest = write_list(office, "ha").digest
    had = number(world, code)
    old = world.ask("select sha256 from document where dossier = :c and kind = 'frozen'", c=code)
    clerk = world.officer(office)
    if what == "kind":
        assert correct_original(code, 1, kind="Giấy khai sinh", by=clerk)
    else:
        new = Presented(kind="Giấy 1", files=(("better.jpg", small_scan(seed=21)),))
        assert correct_original(code, 1, presented=new, by=clerk)
    assert world.stage(code) == "Received"
    outcomes = dict(zip([d.dossier for d in unlock_list(digest, "ha", at=office).documents],
                        signed(world, office, digest), strict=True))  # fmt: skip
    assert outcomes == {code: "left out", other: "signed"}
    world.carry(code)
    assert world.stage(code) == "AwaitingSignature"
    assert number(world, code) == had
    frozen = world.ask(
        "select sha256, revision from document where dossier = :c and kind = 'frozen' order by revision",
        c=code,
    )
    assert len(frozen) == 2
    assert frozen[0].sha256 == old[0].sha256 != frozen[1].sha256
    assert signed(world, office, digest)[list(outcomes).index(code)] == "left out"
    assert signed(world, office, write_list(office, "ha").digest) == ["signed"]
    told = next(e for e in world.told(code) if e["event"] == "original:corrected")
    assert told["what"] == [what]
    assert "khai sinh" not in str(told)
    assert "commit" in told


def test_correcting_to_what_it_is_already_changes_nothing(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    before = world.picture()
    assert not correct_original(code, 1, kind="Giấy 1", by=world.officer(office))
    assert world.picture() == before


def test_after_the_first_signature_it_is_refused_with_the_way_out(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    assert sign_original(code, 1, world.signer(office))
    clerk = world.officer(office)
    for correct in (
        lambda: correct_original(code, 1, kind="Giấy khác", by=clerk),
        lambda: correct_applicant(code, {"name": "Trần Thị Khác"}, by=clerk),
    ):
        with pytest.raises(Forbidden) as refusal:
            correct()
        assert refusal.value.rule == "CERT-23"
        assert "ask for a correction" in refusal.value.way_out


def test_an_applicant_is_corrected_and_the_copy_made_anew_without_a_name_in_the_history(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    had = number(world, code)
    digest = write_list(office, "ha").digest
    assert correct_applicant(code, {"name": "Trần Thị Sên"}, by=world.officer(office))
    world.carry(code)
    row = world.ask("select name from applicant where dossier = :c", c=code)[0]
    assert row.name == "Trần Thị Sên"
    assert number(world, code) == had
    assert world.stage(code) == "AwaitingSignature"
    told = next(e for e in world.told(code) if e["event"] == "applicant:corrected")
    assert told["what"] == ["name"]
    assert "Sên" not in str(world.told(code))
    assert write_list(office, "ha").digest
    assert signed(world, office, digest)[0] in ("signed", "left out")


class TestTheCommand:
    """`hoso correct`: nothing personal in the argument list."""

    def test_it_takes_the_applicants_data_from_a_file(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        code = world.frozen(office)
        file = tmp_path / "applicant.yaml"
        file.write_text("telephone: '0900 000 001'\n")
        said = world.type("correct", code, "--applicant", file)
        assert said.code == 0, said.err
        assert world.ask("select telephone from applicant where dossier = :c", c=code)[0][0] == "0900 000 001"

    @pytest.mark.parametrize("content", ["shoe_size: 40\n", "[1, 2]\n", "name: ''\n", ": :\n"])
    def test_what_it_cannot_understand_changes_nothing(
        self, world: World, tmp_path: Path, content: str
    ) -> None:
        office = world.office()
        code = world.frozen(office)
        file = tmp_path / "applicant.yaml"
        file.write_text(content)
        before = world.picture()
        said = world.type("correct", code, "--applicant", file)
        assert said.code == 1
        assert "[DOS-12]" in said.err
        assert world.picture() == before

    def test_a_kind_and_a_new_scan(self, world: World, tmp_path: Path) -> None:
        office = world.office()
        code = world.frozen(office)
        kind = tmp_path / "kind.txt"
        kind.write_text("Giấy khai sinh\n")
        assert world.type("correct", code, "1", "--kind", kind).code == 0
        assert world.originals(code)[0].kind == "Giấy khai sinh"
        scan = tmp_path / "better.jpg"
        scan.write_bytes(small_scan(seed=22))
        said = world.type("correct", code, "1", "--original", "Bằng", scan)
        assert said.code == 0, said.err
        assert world.originals(code)[0].kind == "Bằng"
        for words in (
            (code, "1"),
            (code, "--kind", kind),
            (code, "2", "--kind", kind),
            (code, "1", "--kind", "Bằng"),
        ):
            assert world.type("correct", *words).code == 1
