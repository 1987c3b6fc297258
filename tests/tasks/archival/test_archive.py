"""The package that nobody can delete: written once, read back, inventory last (ARC-02 to ARC-07)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lxml import etree
from ocfl.validator import Validator

from infra.errors import Broken, Forbidden, Unavailable
from infra.object_store import Unsafe
from infra.object_store.memory import Fault, MemoryStore
from infra.services import services, using
from tasks.archival import steps
from tasks.archival.checkpoints import cover
from tasks.archival.steps import ARCHIVE_ROOT, archive, ask_for_archive, begin_package, is_due
from tasks.dossier.papers import Paper, keep, store_content
from tests.world import World

APPLICANT = "Trần Thị Sen"
SCHEMA = Path(__file__).parents[2] / "vectors" / "premis" / "premis-v3-0.xsd"


@pytest.fixture(autouse=True)
def probed_anew() -> Iterator[None]:
    """Let each test's store be probed, and leave no answer of a double behind."""
    steps.store_is_safe.cache_clear()
    steps.write_root.cache_clear()
    yield
    steps.store_is_safe.cache_clear()
    steps.write_root.cache_clear()


def brought_back(world: World, originals: int = 1) -> str:
    """Return the code of a dossier whose result is with the applicant, and whose archive was asked for."""
    code = world.signed(world.office(), originals)
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert ask_for_archive(code) == [code]
    assert begin_package(code)
    assert cover(code)
    return code


@pytest.fixture
def returned(world: World) -> str:
    """A dossier that is about to be archived."""
    return brought_back(world)


@pytest.fixture(scope="module")
def archived(running_world: World) -> str:
    """A dossier with two originals that was archived; tests only look at it."""
    with using(running_world.parts):
        code = brought_back(running_world, 2)
        running_world.carry(code)
        return code


def objects(world: World, code: str) -> list[Any]:
    """Return what the database says the archive holds of a dossier, in the order of writing."""
    return world.ask("select * from archived_object where dossier = :d order by id", d=code)


def rendered(world: World, code: str) -> dict[str, str]:
    """Return what was rendered for a package and is not in the archive yet, by name."""
    found: dict[str, str] = world.ask("select rendered from package where dossier = :d", d=code)[0][0]
    return found


def test_every_object_is_locked_read_back_and_as_it_was_written(world: World, archived: str) -> None:
    assert world.stage(archived) == "Archived"
    held = objects(world, archived)
    until = world.ask("select retain_until from package where dossier = :d", d=archived)[0][0]
    assert until.year == world.parts.clock.now().year + 20
    for row in held:
        stored, content = world.parts.archive.read_back(row.key, row.version_id)
        assert hashlib.sha256(content).hexdigest() == row.sha256
        assert (stored.mode, row.mode) == ("COMPLIANCE", "COMPLIANCE")
        assert stored.retain_until is not None
        assert stored.retain_until >= until
        assert row.key.startswith(ARCHIVE_ROOT)


def test_the_inventory_is_written_last(world: World, archived: str) -> None:
    keys = [row.key.rsplit("/", 1)[-1] for row in objects(world, archived)]
    assert set(keys[-2:]) == {"inventory.json", "inventory.json.sha512"}


def test_somebody_else_s_tool_finds_the_package_sound(world: World, archived: str, tmp_path: Path) -> None:
    folder = world.told(archived)[-1]["package"]
    for key in world.parts.archive.keys(f"{folder}/"):
        path = tmp_path / key.removeprefix(f"{folder}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(world.parts.archive.get(key))
    checker = Validator(check_digests=True)
    assert checker.validate_object(str(tmp_path)), str(checker.log)
    damaged = next(p for p in tmp_path.rglob("*") if p.suffix == ".pdf")
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert not Validator(check_digests=True).validate_object(str(tmp_path))


def test_the_package_holds_originals_results_metadata_validation_and_the_whole_history(
    world: World, archived: str
) -> None:
    folder = world.told(archived)[-1]["package"]
    inventory = json.loads(world.parts.archive.get(f"{folder}/inventory.json"))
    assert inventory["id"] == f"urn:hoso:{archived}"
    (version,) = inventory["versions"].values()
    names = {path: digest for digest, paths in version["state"].items() for path in paths}

    def content(name: str) -> bytes:
        return world.parts.archive.get(f"{folder}/{inventory['manifest'][names[name]][0]}")

    kinds = {name.split("/")[0] for name in names}
    assert kinds >= {
        "scans",
        "documents",
        "papers",
        "metadata.json",
        "history.jsonl",
    }
    sealed = world.ask("select sha256 from document where dossier = :d and kind = 'lifted'", d=archived)
    documents = [name for name in names if name.startswith("documents/")]
    assert {hashlib.sha256(content(name)).hexdigest() for name in documents} == {row.sha256 for row in sealed}
    metadata = json.loads(content("metadata.json"))
    assert (metadata["maHoSo"], metadata["thoiHanLuuTru"]) == (archived, "20 năm")
    assert metadata["nguoiYeuCau"] == APPLICANT
    assert [record["tinhTrang"] for record in metadata["taiLieu"]] == ["valid", "valid"]
    validation = metadata["kiemTraChuKy"]
    assert {name: [s["field"] for s in found] for name, found in validation.items()} == {
        name: ["official_1", "seal"] for name in documents
    }
    assert all(s["intact"] and s["trusted"] for found in validation.values() for s in found)
    lines = [json.loads(line) for line in content("history.jsonl").splitlines()]
    assert lines == world.told(archived)[: len(lines)]
    assert [line["event"] for line in lines][-1] == "dossier:archiving"
    assert [line["suKien"] for line in metadata["quaTrinh"]] == [line["event"] for line in lines]


def test_what_was_put_before_the_official_is_the_beginning_of_what_was_released_and_kept_once(
    world: World, archived: str
) -> None:
    folder = world.told(archived)[-1]["package"]
    kept = {
        key.removeprefix(f"{folder}/v1/content/") for key in world.parts.archive.keys(f"{folder}/v1/content/")
    }
    said = json.loads(world.parts.archive.get(f"{folder}/v1/content/metadata.json"))["tepTrinhKy"]
    put = world.ask("select sha256, size from document where dossier = :d and kind = 'frozen'", d=archived)
    assert {(one["sha256"], one["soByteDau"]) for one in said} == {(row.sha256, row.size) for row in put}
    for one in said:
        whole = world.parts.archive.get(f"{folder}/v1/content/{one['tep']}")
        assert hashlib.sha256(whole[: one["soByteDau"]]).hexdigest() == one["sha256"]
    assert not [name for name in kept if name.startswith("frozen/")]
    described = ElementTree.fromstring(world.parts.archive.get(f"{folder}/v1/content/premis.xml"))
    space = {"p": "http://www.loc.gov/premis/v3"}
    made = [
        e
        for e in described.findall("p:event", space)
        if e.findtext(".//p:eventDetail", "", space) == "copy:frozen"
    ]
    names = {e.findtext("p:linkingObjectIdentifier/p:linkingObjectIdentifierValue", "", space) for e in made}
    assert names == {one["tep"] for one in said}


def test_what_was_put_before_the_official_is_a_file_of_its_own_where_no_document_begins_with_it(
    world: World, returned: str
) -> None:
    other = world.parts.work.put("other-frozen", b"%PDF-1.7 other", content_type="application/pdf")
    with world.owner() as owner:
        owner.execute(
            "update document set sha256 = %s, size = %s, key = %s"
            " where dossier = %s and kind = 'frozen' and ordinal = 1",
            (other.sha256, other.size, other.key, returned),
        )
    store = MemoryStore()
    with world.having(archive=store):
        assert archive(returned)
    (key,) = [key for key in store.keys(ARCHIVE_ROOT) if "/v1/content/frozen/1-" in key]
    assert store.get(key) == b"%PDF-1.7 other"


def test_arc_06_the_catalogue_says_what_the_circular_asks_and_what_the_installation_adds(
    world: World, archived: str
) -> None:
    folder = world.told(archived)[-1]["package"]
    said = json.loads(world.parts.archive.get(f"{folder}/v1/content/metadata.json"))
    assert set(said) >= {
        "maHoSo", "tieuDe", "thoiHanLuuTru", "mucDoTiepCan", "ngonNgu", "thoiGianBatDau", "thoiGianKetThuc", "tuKhoa",
        "tongSoTaiLieu", "soLuongTo", "soLuongTrang", "tinhTrangVatLy", "kyHieuThongTin", "mucDoTinCay",
        "maHoSoGocGiay", "cheDoDuPhong", "phong",
    }  # fmt: skip
    assert said["tuKhoa"] == ["chứng thực bản sao điện tử"]
    assert [d["tenLoai"] for d in said["taiLieu"]] == ["Bản sao điện tử chứng thực"] * 2
    assert said["taiLieu"][0]["mucDoTinCay"] == said["mucDoTinCay"] == "02 số hóa"


def test_premis_is_valid_by_the_schema_of_the_library_of_congress(world: World, archived: str) -> None:
    schema = etree.XMLSchema(etree.parse(str(SCHEMA)))
    folder = world.told(archived)[-1]["package"]
    described = etree.fromstring(world.parts.archive.get(f"{folder}/v1/content/premis.xml"))
    assert schema.validate(described), schema.error_log
    described[0].append(described[0][0])
    assert not schema.validate(described), "an identifier behind its characteristics"


def test_premis_names_every_file_by_its_hash_and_each_event_by_its_position(
    world: World, archived: str
) -> None:
    space = {"p": "http://www.loc.gov/premis/v3"}
    folder = world.told(archived)[-1]["package"]
    root = ElementTree.fromstring(world.parts.archive.get(f"{folder}/v1/content/premis.xml"))
    assert root.get("version") == "3.0"
    described = {
        one.findtext(".//p:objectIdentifierValue", "", space): one.findtext(".//p:messageDigest", "", space)
        for one in root.findall("p:object", space)
    }
    inventory = json.loads(world.parts.archive.get(f"{folder}/inventory.json"))
    (version,) = inventory["versions"].values()
    logical = {n: inventory["manifest"][d][0] for d, names in version["state"].items() for n in names}
    assert set(described) == set(logical) - {"premis.xml"}
    for name, digest in described.items():
        assert hashlib.sha256(world.parts.archive.get(f"{folder}/{logical[name]}")).hexdigest() == digest
    told = {entry["seq"]: entry for entry in world.told(archived)}
    events = root.findall("p:event", space)
    kinds = [one.findtext("p:eventType", "", space) for one in events]
    assert {"capture", "digital signature generation", "digital signature validation"} < set(kinds)
    assert kinds[-1] == "information package creation"
    for one in events:
        entry = told[int(one.findtext(".//p:eventIdentifierValue", "", space))]
        assert one.findtext("p:eventDateTime", "", space) == entry["at"]
        assert one.findtext(".//p:eventDetail", "", space) == entry["event"]
    agents = {one.findtext("p:agentName", "", space) for one in root.findall("p:agent", space)}
    assert agents >= {one.findtext(".//p:linkingAgentIdentifierValue", "", space) for one in events}


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
@pytest.mark.parametrize("good", [0, 3, 9])
def test_a_store_that_fails_half_way_gets_the_same_bytes_under_the_same_keys_later(
    world: World, returned: str, fault: Fault, good: int
) -> None:
    store = MemoryStore()
    failing = Failing(store, after=good, fault=fault)
    with world.having(archive=failing):
        with pytest.raises(Unavailable):
            archive(returned)
        assert objects(world, returned) == []
        assert world.stage(returned) == "Returned"
        before = {key: store.get(key) for key in store.keys(ARCHIVE_ROOT)}
        assert archive(returned)
        assert not archive(returned)
    assert world.stage(returned) == "Archived"
    keys = store.keys(ARCHIVE_ROOT)
    assert [store.versions(key) for key in keys] == [1] * len(keys)
    assert {key: store.get(key) for key in before} == before
    assert world.events(returned).count("dossier:archiving") == 1
    assert world.events(returned).count("dossier:archived") == 1


class Failing:
    """A store whose locked write number `after` fails once."""

    def __init__(self, store: MemoryStore, *, after: int, fault: Fault) -> None:
        self._store = store
        self._left = after
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_locked(self, key: str, content: bytes, **more: Any) -> Any:
        if key.startswith(ARCHIVE_ROOT):
            if self._left == 0:
                self._store.fail_next("put", self._fault)
            self._left -= 1
        return self._store.put_locked(key, content, **more)


def test_a_paper_that_is_printed_between_two_tries_does_not_change_the_package(
    world: World, returned: str
) -> None:
    class LastAnswerLost(Failing):
        """A store that keeps the root inventory, and whose answer to it is lost."""

        def put_locked(self, key: str, content: bytes, **more: Any) -> Any:
            if key.endswith("/inventory.json") and "/v1/" not in key and self._left:
                self._left = 0
                self._store.fail_next("put", Fault.AFTER)
            return self._store.put_locked(key, content, **more)

    with world.having(archive=LastAnswerLost(MemoryStore(), after=1, fault=Fault.AFTER)):
        with pytest.raises(Unavailable):
            archive(returned)
        stored = store_content(b"%PDF-1.7 printed at the counter", "application/pdf")
        with services().database.transaction() as session:
            keep(session, Paper(dossier=returned, kind="letter-apology"), stored)
        assert archive(returned)
    assert world.stage(returned) == "Archived"


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.DAMAGE])
def test_what_the_store_does_not_hold_as_it_was_written_is_not_believed(
    world: World, returned: str, fault: Fault
) -> None:
    store = MemoryStore()
    with world.having(archive=Failing(store, after=4, fault=fault)), pytest.raises(Broken):
        archive(returned)
    assert world.stage(returned) == "Returned"
    assert objects(world, returned) == []


@pytest.mark.parametrize("attack", ["delete_version", "set_retention", "put_damaged", "as_stranger"])
def test_archival_refuses_to_run_on_a_store_that_would_let_go(
    world: World, returned: str, attack: str
) -> None:
    store = MemoryStore(allows=frozenset({attack}))
    with world.having(archive=store), pytest.raises(Unsafe):
        archive(returned)
    assert store.keys(ARCHIVE_ROOT) == []
    assert world.stage(returned) == "Returned"


def test_two_workers_who_archive_at_once_write_one_package(world: World, returned: str) -> None:
    answers = world.at_once([lambda: archive(returned)] * 3)
    assert sorted(map(str, answers)) == ["False", "False", "True"], answers
    keys = [row.key for row in objects(world, returned)]
    assert len(keys) == len(set(keys))
    assert world.events(returned).count("dossier:archived") == 1


def test_nothing_is_archived_before_it_is_asked_for_and_nothing_before_it_is_returned(world: World) -> None:
    code = world.signed(world.office())
    with pytest.raises(Forbidden) as refusal:
        ask_for_archive(code)
    assert refusal.value.rule == "DOS-06"
    world.carry(code)
    world.carry(code)
    assert (world.stage(code), is_due(code)) == ("Returned", False)
    assert not archive(code)
    assert code in ask_for_archive(None)
    assert is_due(code)


def test_the_names_of_people_are_in_no_key(world: World, archived: str) -> None:
    for row in objects(world, archived):
        assert "Sen" not in row.key
        assert "Trần" not in row.key


def test_a_package_that_was_begun_is_finished_as_it_was_rendered_although_the_office_was_renamed(
    world: World, returned: str
) -> None:
    office = world.dossier(returned).office

    real, taken = world.parts.archive, []

    class Full:
        """An archive that takes eight objects and then no more."""

        def put_locked(self, *words: Any, **more: Any) -> Any:
            taken.append(words)
            if len(taken) > 8:
                raise Unavailable("the disk is full")
            return real.put_locked(*words, **more)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    with world.having(archive=Full()), pytest.raises(Unavailable):
        archive(returned)
    before = rendered(world, returned)["metadata.json"]
    world.put("update office set body = jsonb_set(body, '{name}', '\"Tên mới\"') where code = :o", o=office)
    assert archive(returned)
    folder = world.told(returned)[-1]["package"]
    said = world.parts.archive.get(f"{folder}/v1/content/metadata.json").decode()
    assert said == before
    assert "Tên mới" not in said
    assert rendered(world, returned) == {}, "what the archive has is kept nowhere else"
