"""Bulk orders: every row is examined before anything starts, and placing is placing once (CERT-18, CERT-23)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from infra.errors import Forbidden, Unavailable
from tasks.certification import ordering
from tasks.certification.manifests import OrderLine, read_manifest
from tasks.certification.ordering import Order, examine_rows, place_order
from tests.world import World, refused, small_scan, somebody

HEAD = "STT;Loại giấy tờ;Tệp;Số trang;Số bản;Hồ sơ"


def manifest(*rows: str) -> bytes:
    """Return a table as a spreadsheet saves it."""
    return "\n".join([HEAD, *rows]).encode("utf-8-sig")


def rows_of(content: bytes) -> list[OrderLine]:
    """Return the rows of a table in which nothing is wrong."""
    lines, bad = read_manifest(content)
    assert bad == []
    return lines


def order(world: World, office: str, folder: Path, **changes: object) -> Order:
    """Return an order for somebody whom e-mail reaches."""
    given = {"applicant": somebody(), "paid": "BL-1", **changes}
    return Order(office=office, procedure="e-copy", folder=folder, **given)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with four scans of one page."""
    for number in range(1, 5):
        (tmp_path / f"{number}.jpg").write_bytes(small_scan(number))
    return tmp_path


class TestManifest:
    """The table, without a folder."""

    def test_columns_are_found_by_their_names_in_any_order(self) -> None:
        lines = rows_of("file,kind,copies\na.pdf; b.pdf,Bằng,3\n".encode())
        assert lines == [OrderLine(row=2, kind="Bằng", files=("a.pdf", "b.pdf"), copies=3)]

    @pytest.mark.parametrize(
        ("row", "why"),
        [
            ("1;;1.jpg;;;", "missing"),
            ("1;Bằng;;;;", "missing"),
            ("1;Bằng;1.jpg;none;;", "no number of pages"),
            ("1;Bằng;1.jpg;1;0;", "no number of copies"),
            ("1;=1+1;1.jpg;;;", "formula"),
        ],
    )
    def test_a_wrong_row_is_named_with_what_is_wrong_cert_23(self, row: str, why: str) -> None:
        lines, bad = read_manifest(manifest(row, "2;Bằng;2.jpg;;;"))
        assert [line.row for line in lines] == [3]
        assert [(one.row, why in one.why) for one in bad] == [(2, True)]

    def test_one_file_is_one_original(self) -> None:
        _, bad = read_manifest(manifest("1;Bằng;1.jpg;;;", "2;Bằng;1.jpg;;;"))
        assert [one.row for one in bad] == [3]

    def test_a_table_without_the_needed_columns_is_refused(self) -> None:
        error = refused(Forbidden, partial(read_manifest, b"a;b\n1;2\n"))
        assert "“loại giấy tờ”, “tệp”" in str(error)


def examined(world: World, asked: Order, lines: Sequence[OrderLine]) -> list[ordering.Examined]:
    """Return the rows of an order, all of them fit."""
    fit, bad = examine_rows(asked, lines, by=world.officer(asked.office))
    assert bad == []
    return fit


def test_rows_with_the_same_word_share_a_dossier_and_others_have_their_own(
    world: World, folder: Path
) -> None:
    office = world.office()
    lines = rows_of(
        manifest("1;Bằng;1.jpg;1;;A", "2;Học bạ;2.jpg;;2;", "3;Giấy;3.jpg;;;A", "4;Giấy;4.jpg;;;")
    )
    asked = order(world, office, folder)
    placed = place_order(asked, examined(world, asked, lines), by=world.officer(office))
    assert [[o.kind for o in world.originals(code)] for code in placed.dossiers] == [
        ["Bằng", "Giấy"],
        ["Học bạ"],
        ["Giấy"],
    ]
    assert {world.stage(code) for code in placed.dossiers} == {"Received"}
    waits = world.ask("select batch_until from outbox where dossier = any(:c)", c=list(placed.dossiers))
    assert all(row.batch_until is not None for row in waits), "they wait for the office's batches"


def test_dossiers_of_an_order_follow_each_other_and_each_tells_its_own_life(
    world: World, folder: Path
) -> None:
    office = world.office()
    asked = order(world, office, folder, paid=None)
    rows = examined(world, asked, rows_of(manifest(*(f"{n};Giấy;{n}.jpg;;;" for n in (1, 2, 3)))))
    placed = place_order(asked, rows, by=world.officer(office))
    numbers = [int(code.rpartition("-")[2]) for code in placed.dossiers]
    assert numbers == [1, 2, 3], "codes have no gap (DOS-04)"
    for code in placed.dossiers:
        assert world.events(code) == ["dossier:opened", "dossier:received", "fee:asked"]
        assert world.stage(code) == "PaymentDue"
        [told] = [one["originals"] for one in world.told(code) if one["event"] == "dossier:received"]
        assert told == 1
        kinds = world.ask("select kind from document where dossier = :c order by kind", c=code)
        assert [row.kind for row in kinds] == ["page", "scan"]


def test_a_group_that_fails_leaves_neither_dossier_nor_entry_nor_gap(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, by = world.office(), world.officer
    asked = order(world, office, folder)
    rows = examined(world, asked, rows_of(manifest(*(f"{n};Giấy;{n}.jpg;;;" for n in (1, 2, 3)))))
    # A number of pages that PostgreSQL does not take: the last row of the group is refused by the database.
    spoilt = [*rows[:2], replace(rows[2], scanned=replace(rows[2].scanned, declared=2**40))]
    told = "select count(*) from history_entry"
    with pytest.raises(DBAPIError):
        place_order(asked, spoilt, by=by(office))
    entries = world.ask(told)[0][0]
    assert world.ask("select count(*) from dossier where office = :o", o=office)[0][0] == 0
    placed = place_order(asked, rows, by=by(office))
    assert [int(code.rpartition("-")[2]) for code in placed.dossiers] == [1, 2, 3]
    assert world.ask(told)[0][0] == entries + 6


def test_placing_again_opens_nothing_new_and_goes_on_after_a_crash(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    office, by = world.office(), world.officer
    asked = order(world, office, folder)
    rows = examined(world, asked, rows_of(manifest(*(f"{n};Giấy;{n}.jpg;;;" for n in (1, 2, 3)))))
    monkeypatch.setattr(ordering, "_TOGETHER", 1)

    def dies(done: int) -> None:
        if done == 2:
            raise Unavailable("the power is gone")

    refused(Unavailable, lambda: place_order(asked, rows, by=by(office), told=dies))
    placed = place_order(asked, rows, by=by(office))
    assert placed.repeated
    assert len(set(placed.dossiers)) == 3
    assert world.ask("select count(*) from dossier where office = :o", o=office)[0][0] == 3
    assert place_order(asked, rows, by=by(office)).dossiers == placed.dossiers


def test_extra_days_are_those_of_the_law_and_more_only_with_agreement_cert_18(
    world: World, folder: Path
) -> None:
    office = world.office()
    lines = rows_of(manifest("1;Giấy;1.jpg;;;"))
    too_many = order(world, office, folder, extended_by=9)
    error = refused(Forbidden, lambda: examine_rows(too_many, lines, by=world.officer(office)))
    assert "CERT-18" in str(error)
    asked = order(world, office, folder, extended_by=9, agreed=True)
    (code,) = place_order(asked, examined(world, asked, lines), by=world.officer(office)).dossiers
    assert world.dossier(code).extended_by == 9


class TestCommands:
    """What a clerk types."""

    @staticmethod
    def words(tmp_path: Path, content: bytes) -> list[object]:
        """Return the words that follow `hoso order check` or `place`."""
        (tmp_path / "m.csv").write_bytes(content)
        (tmp_path / "who.yaml").write_text(
            "name: Trần Thị Sen\nidentity: '022000777001'\nemail: sen@citizen.example\n"
        )
        return [tmp_path / "m.csv", "--folder", tmp_path, "--applicant", tmp_path / "who.yaml"]

    def test_every_bad_row_is_told_and_nothing_is_received(self, world: World, folder: Path) -> None:
        office = world.office()
        (folder / "broken.jpg").write_bytes(b"no scan")
        words = self.words(
            folder,
            manifest(
                "1;Giấy;1.jpg;;;",
                "2;Giấy;broken.jpg;;;",
                "3;Giấy;absent.jpg;;;",
                "4;Giấy;../../etc/passwd;;;",
                "5;Giấy;2.jpg;7;;",
            ),
        )
        before = world.counts("dossier", "original", "document", "history_entry")
        with world.as_(office, "mai"):
            placed = world.type("order", "place", *words, "--json")
            checked = world.type("order", "check", *words, "--json")
        assert placed.code == checked.code == 1
        assert [one["row"] for one in checked.json["bad"]] == [3, 4, 5, 6]
        assert "CERT-16" in checked.json["bad"][-1]["why"]
        assert checked.json["fit"] == 1
        assert world.counts("dossier", "original", "document", "history_entry") == before

    def test_a_good_order_is_placed_and_listed(self, world: World, folder: Path) -> None:
        office = world.office()
        words = self.words(folder, manifest("1;Giấy;1.jpg;;;", "2;Giấy;2.jpg;;;"))
        with world.as_(office, "mai"):
            placed = world.type("order", "place", *words, "--paid", "BL-9", "--json")
            listed = world.type("order", "list", "--json")
        assert placed.code == 0, placed.err
        assert len(placed.json["dossiers"]) == 2
        assert listed.json[0]["order"] == placed.json["order"]
        assert listed.json[0]["standings"] == {"received": 2}
