"""Versions of procedures: loaded once, compared in words, carried between installations, and lived under (GEN-02)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.clock import HANOI
from tests.procedure_versions import another_version
from tests.world import VECTORS, Said, World

THIRD = VECTORS / "procedures" / "extract.v1.yaml"
BODY: dict[str, Any] = yaml.safe_load(THIRD.read_text(encoding="utf-8"))
_codes = (f"extract-{number}" for number in count())


@pytest.fixture
def code() -> str:
    """The code of a procedure that no other test knows."""
    return next(_codes)


@pytest.fixture
def written(tmp_path: Path, code: str) -> Callable[..., Path]:
    """Writes the definition under that code, with something changed."""
    names: Iterator[int] = count()

    def write(**changes: Any) -> Path:
        path = tmp_path / f"{next(names)}.yaml"
        path.write_text(yaml.safe_dump(BODY | {"code": code} | changes, allow_unicode=True), encoding="utf-8")
        return path

    return write


def today(world: World) -> date:
    return world.parts.clock.now().astimezone(HANOI).date()


def opened(world: World, procedure: str) -> str:
    """Book a slot under a procedure and return the dossier's code."""
    said = world.type(
        "book", "--office", world.office(), "--procedure", procedure, "--applicant", VECTORS / "sen.yaml", "--json"
    )  # fmt: skip
    assert said.code == 0, said.err
    return str(said.json["code"])


def refused(said: Said, *words: str) -> None:
    assert said.code == 1
    assert "[GEN-02]" in said.err
    for word in words:
        assert word in said.err


Write = Callable[..., Path]


class TestLoading:
    """What may be loaded is decided by the dossiers and versions that are there."""

    def test_loading_again_changes_nothing_and_a_comment_makes_no_new_version(
        self, world: World, written: Write
    ) -> None:
        file = written()
        assert world.type("procedure", "load", file, "--json").json[0]["new"]
        file.write_text("# said anew\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
        before = world.picture()
        assert not world.type("procedure", "load", file, "--json").json[0]["new"]
        assert world.picture() == before

    def test_the_same_number_with_another_content_is_refused_and_the_difference_named(
        self, world: World, written: Write
    ) -> None:
        assert world.type("procedure", "load", written()).code == 0
        before = world.picture()
        refused(
            world.type("procedure", "load", written(supplements=1)),
            "supplements: 2 → 1",
            "new version number",
        )
        refused(
            world.type("procedure", "load", written(effective_from=date(2027, 1, 1))), "begins: 2026-01-01"
        )
        assert world.picture() == before

    def test_a_version_that_would_begin_before_dossiers_were_opened_is_refused_until_it_begins_later(
        self, world: World, written: Write, code: str
    ) -> None:
        assert world.type("procedure", "load", written()).code == 0
        dossier = opened(world, code)
        second, tomorrow = written(version=2, supplements=1), today(world) + timedelta(days=1)
        refused(world.type("procedure", "load", second), "1 dossiers were opened", f"--from {tomorrow}")
        refused(world.type("procedure", "load", second, "--from", today(world)), "opened")
        assert world.type("procedure", "load", second, "--from", tomorrow).code == 0
        assert world.type("procedure", "load", second).code == 0, "it is loaded, whenever it begins"
        assert world.dossier(dossier).procedure_version == 1
        assert world.dossier(opened(world, code)).procedure_version == 1, "until it begins"

    def test_it_cannot_begin_earlier_than_it_says(self, world: World, written: Write) -> None:
        file = written(effective_from=date(2030, 1, 1))
        refused(world.type("procedure", "load", file, "--from", "2029-12-31"), "cannot begin on 2029-12-31")
        refused(world.type("procedure", "load", file, "--from", "soon"), "“soon” is not a day")

    @pytest.mark.parametrize(("number", "begins"), [(2, "2029-12-31"), (4, "2030-12-30")])
    def test_versions_begin_in_the_order_of_their_numbers(
        self, world: World, written: Write, number: int, begins: str
    ) -> None:
        first = written(version=3 if number == 4 else 1, effective_from=date(2030, 12, 31))
        assert world.type("procedure", "load", first).code == 0
        later = written(version=number, effective_from=date.fromisoformat(begins))
        refused(world.type("procedure", "load", later), "must not begin earlier")

    def test_what_has_not_begun_is_set_right_by_a_version_that_begins_on_the_same_day(
        self, world: World, written: Write
    ) -> None:
        begins = date(2030, 1, 1)
        for number in (1, 2):
            assert world.type("procedure", "load", written(version=number, effective_from=begins)).code == 0

    def test_all_files_are_loaded_or_none(self, world: World, written: Write) -> None:
        before = world.picture()
        refused(world.type("procedure", "load", written(), written(supplements=9)), "supplements: 2 → 9")
        assert world.picture() == before

    def test_the_history_tells_who_loaded_what(self, world: World, written: Write, code: str) -> None:
        world.type("procedure", "load", written())
        query = "select entry from history_entry where entry like :said"
        (entry,) = (json.loads(row[0]) for row in world.ask(query, said=f'%"procedure":"{code}"%'))
        assert (entry["event"], entry["version"], entry["begins"]) == ("procedure:loaded", 1, "2026-01-01")
        assert entry["actor"] == {"role": "engineer"}


class TestComparing:
    """`hoso procedure diff` and `list`: what a version changes, and for whom."""

    def test_it_says_what_changes_and_that_open_dossiers_keep_theirs(
        self, world: World, written: Write, code: str
    ) -> None:
        world.type("procedure", "load", written())
        opened(world, code)
        limit = {**BODY["time_limit"], "working_days": 2}
        said = world.type(
            "procedure", "diff", written(version=2, effective_from=date(2030, 1, 1), time_limit=limit)
        )
        assert said.out.splitlines() == [
            f"{code} v2, begins 2030-01-01, compared with version 1",
            "  time limit, working days: 3 → 2",
            "  1 open dossier keeps version 1",
            "  dossiers that are opened from 2030-01-01 on go by version 2",
        ]
        listed = world.type("procedure", "list", "--json").json
        assert [(p["version"], p["open"]) for p in listed if p["procedure"] == code] == [(1, 1)]

    def test_two_files_are_compared_without_a_login_or_a_database(self, world: World, written: Write) -> None:
        files = written(), written(version=2, fee=None)
        said = world.hoso(
            "procedure", "diff", *files, HOSO_DATABASE_URL="postgresql+psycopg://x@127.0.0.1:9/x"
        )
        assert (said.code, said.out.split(":")[0]) == (0, "fee")

    def test_a_clerk_may_not_load_or_export(self, world: World, written: Write, tmp_path: Path) -> None:
        office = world.office()
        with world.as_(office, "mai"):
            for words in (
                ("load", written()),
                ("export", tmp_path / "x.json"),
                ("list",),
                ("diff", written()),
            ):
                assert "may not" in world.type("procedure", *words, by="mai").err


class TestCarrying:
    """`hoso procedure export` and `import`: one file with a checksum."""

    @pytest.fixture
    def carried(self, world: World, written: Write, code: str, tmp_path: Path) -> Path:
        """An export of two versions, which this installation has forgotten again."""
        assert (
            world.type(
                "procedure", "load", written(), written(version=2, effective_from=date(2030, 1, 1))
            ).code
            == 0
        )
        out = tmp_path / "carried.json"
        assert world.type("procedure", "export", out, "--only", code).code == 0
        with world.owner() as connection:
            connection.execute("delete from procedure where code = %s", (code,))
        return out

    def test_what_comes_here_is_what_was_there(
        self, world: World, carried: Path, code: str, tmp_path: Path
    ) -> None:
        said = world.type("procedure", "diff", carried)
        assert f"{code} v1, begins 2026-01-01, a procedure that is not here yet" in said.out
        assert [p["new"] for p in world.type("procedure", "import", carried, "--json").json] == [True, True]
        assert [p["new"] for p in world.type("procedure", "import", carried, "--json").json] == [False, False]
        again = tmp_path / "again.json"
        assert world.type("procedure", "export", again, "--only", code).code == 0
        assert again.read_bytes() == carried.read_bytes()

    def test_a_number_that_has_another_content_here_is_refused_and_nothing_is_loaded(
        self, world: World, carried: Path, written: Write
    ) -> None:
        assert (
            world.type(
                "procedure", "load", written(version=2, effective_from=date(2030, 1, 1), fee=None)
            ).code
            == 0
        )
        before = world.picture()
        refused(world.type("procedure", "import", carried), "version 2 is in use", "fee: none → ")
        assert world.picture() == before

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('"supplements": 2', '"supplements": 3', "checksum"),
            ("hoso-procedures-1", "hoso-procedures-9", "format"),
            ("{", "[", "torn"),
        ],
    )
    def test_a_file_that_was_changed_on_the_way_is_refused(
        self, world: World, carried: Path, old: str, new: str, said: str
    ) -> None:
        carried.write_text(carried.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
        refused(world.type("procedure", "import", carried), said)

    def test_a_procedure_that_is_not_here_cannot_be_exported(self, world: World, tmp_path: Path) -> None:
        refused(world.type("procedure", "export", tmp_path / "no.json", "--only", "flying"), "flying")
        assert not (tmp_path / "no.json").exists()


def test_an_open_dossier_keeps_the_fee_and_the_limit_of_the_version_that_it_was_opened_under(
    world: World, written: Write, code: str, tmp_path: Path
) -> None:
    assert world.type("procedure", "load", written()).code == 0
    office, scan = world.office(), tmp_path / "page.jpg"
    scan.write_bytes(world.scan)
    words = ("book", "--office", office, "--procedure", code, "--applicant", VECTORS / "sen.yaml", "--json")
    old = world.type(*words).json["code"]
    dearer = {**BODY["fee"], "first_price": 9000}
    with another_version(
        world, str(written()), fee=dearer, time_limit={**BODY["time_limit"], "working_days": 9}
    ):
        new = world.type(*words).json["code"]
        for one in (old, new):
            said = world.type("receive", one, "--original", "Trang sổ hộ", scan, "--pages", "1")
            assert said.code == 0, said.err
    assert [world.dossier(one).procedure_version for one in (old, new)] == [1, 2]
    assert [world.originals(one)[0].fee for one in (old, new)] == [5000, 9000]
    promised = [world.dossier(one).due_at for one in (old, new)]
    assert promised[0] is not None
    assert promised[1] is not None
    assert (promised[1] - promised[0]).days == 6


def test_a_procedure_that_is_only_data_is_lived_through_to_the_archive(world: World, tmp_path: Path) -> None:
    assert world.type("procedure", "check", THIRD).code == 0
    assert world.type("procedure", "load", THIRD).code == 0
    office = world.office()
    scan = tmp_path / "page.jpg"
    scan.write_bytes(world.scan)

    def done(*words: object, by: str = "") -> Any:
        said = world.type(*words, "--json", by=by)
        assert said.code == 0, said.err
        return said.json

    person = VECTORS / "sen.yaml"
    refused_way = world.type(
        "book", "--office", office, "--procedure", "extract", "--applicant", person, "--channel", "portal"
    )
    assert "the portal has no place for extracts" in refused_way.err
    code = done("book", "--office", office, "--procedure", "extract", "--applicant", person)["code"]
    done("receive", code, "--original", "Trang sổ hộ", scan, "--pages", "1")
    assert done("pay", code, "--receipt", "BL-9")["paid"] == 5000
    world.carry(code)
    assert world.stage(code) == "AwaitingSignature"
    from tasks.signing.steps import sign_original

    assert sign_original(code, 1, world.signer(office))
    world.carry(code)
    assert world.stage(code) == "Returned"
    done("archive", code)
    world.carry(code)
    dossier = world.dossier(code)
    assert (dossier.stage, dossier.procedure, dossier.procedure_version) == ("Archived", "extract", 1)
    (number,) = (row[0] for row in world.ask("select symbol from register_entry where dossier = :c", c=code))
    assert number == "TL"
    archived = next(e for e in world.told(code) if e["event"] == "dossier:archived")
    assert date.fromisoformat(archived["retain_until"][:10]).year - today(world).year in (5, 6)
    assert [mail["Subject"] for mail in world.mails(code)]
