"""OCFL packages, checked by us and by a validator that we did not write."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocfl.layout_0003_hash_and_id_n_tuple import Layout_0003_Hash_And_Id_N_Tuple

from infra.errors import Broken
from infra.ocfl import check_ocfl, object_path, ocfl_object, ocfl_root

CODE = "urn:example:000.00.01.H29-261122-0001"
FILES = {
    "documents/1.pdf": b"%PDF-1.7 one",
    "documents/1 (copy).pdf": b"%PDF-1.7 one",
    "scans/bản gốc.pdf": b"%PDF-1.7 scan",
    "metadata.json": b"{}",
    "empty": b"",
}
MOMENT = datetime(2026, 11, 22, 9, 30, tzinfo=timezone(timedelta(hours=7)))


def package(files: Mapping[str, bytes] = FILES) -> dict[str, bytes]:
    """Make the package that the tests look at."""
    return ocfl_object(
        CODE,
        files,
        message="Lưu trữ hồ sơ",
        user_name="archivist",
        user_address="mailto:archive@example.org",
        created=MOMENT,
    )


def write_out(root: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def outside_verdict(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of ocfl-py's programs."""
    path = Path(sys.executable).parent / program
    return subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_an_outside_validator_accepts_the_object_without_a_warning(tmp_path: Path) -> None:
    write_out(tmp_path, package())
    verdict = outside_verdict("ocfl-validate.py", str(tmp_path))
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "is VALID" in verdict.stdout + verdict.stderr
    assert "W0" not in verdict.stdout + verdict.stderr


def test_an_outside_validator_accepts_the_storage_root_and_finds_the_object_by_its_id(
    tmp_path: Path,
) -> None:
    write_out(tmp_path, ocfl_root())
    write_out(tmp_path / object_path(CODE), package())
    verdict = outside_verdict("ocfl-validate.py", str(tmp_path))
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    found = outside_verdict("ocfl-root.py", "path", "--root", str(tmp_path), "--id", CODE)
    assert object_path(CODE) in found.stdout + found.stderr


def test_the_outside_validator_sees_damage(tmp_path: Path) -> None:
    """Otherwise its word above would be worth nothing."""
    write_out(tmp_path, package() | {"v1/content/metadata.json": b"{ }"})
    assert outside_verdict("ocfl-validate.py", str(tmp_path)).returncode != 0


@pytest.mark.parametrize("object_id", ["a" * 40, "ấ" * 40, "..hor/rib:le-$id"])
def test_an_object_lies_where_the_layout_says(tmp_path: Path, object_id: str) -> None:
    layout = Layout_0003_Hash_And_Id_N_Tuple()
    assert object_path(object_id) == layout.identifier_to_path(object_id)


def test_the_root_inventory_and_its_sidecar_are_written_last() -> None:
    order = list(package())
    assert order[0] == "0=ocfl_object_1.1"
    assert order[-2:] == ["inventory.json", "inventory.json.sha512"]
    assert all(path.startswith("v1/content/") for path in order[1:-4])


def test_the_same_package_is_the_same_bytes() -> None:
    assert package(dict(reversed(FILES.items()))) == package()


def test_a_package_that_was_read_back_tells_what_it_holds() -> None:
    held = check_ocfl(package())
    assert dict(held.files) == FILES
    assert (held.object_id, held.message, held.user_name) == (CODE, "Lưu trữ hồ sơ", "archivist")
    assert held.created == MOMENT.astimezone(UTC)


@pytest.mark.parametrize("path", list(package()))
def test_a_missing_file_is_found(path: str) -> None:
    files = package()
    del files[path]
    with pytest.raises(Broken):
        check_ocfl(files)


@pytest.mark.parametrize("path", list(package()))
def test_a_changed_file_is_found(path: str) -> None:
    files = package()
    files[path] = files[path][:-2] + b"?\n"
    with pytest.raises(Broken):
        check_ocfl(files)


def test_a_file_that_no_inventory_names_is_found() -> None:
    with pytest.raises(Broken, match=r"v1/content/more\.pdf"):
        check_ocfl(package() | {"v1/content/more.pdf": b"x"})


def test_an_inventory_of_somebody_else_is_found_though_its_sidecars_fit() -> None:
    written = b'{"id": "x"}'
    line = f"{hashlib.sha512(written).hexdigest()} inventory.json\n".encode()
    files = package()
    for folder in ("", "v1/"):
        files |= {f"{folder}inventory.json": written, f"{folder}inventory.json.sha512": line}
    with pytest.raises(Broken):
        check_ocfl(files)


def test_two_inventories_that_differ_are_found_though_each_fits_its_sidecar() -> None:
    files = package()
    written = files["v1/inventory.json"] + b"\n"
    line = f"{hashlib.sha512(written).hexdigest()} inventory.json\n".encode()
    files |= {"v1/inventory.json": written, "v1/inventory.json.sha512": line}
    with pytest.raises(Broken, match="differ"):
        check_ocfl(files)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb"])
def test_a_path_that_leaves_the_package_is_refused(path: str) -> None:
    with pytest.raises(Broken):
        package({path: b"x"})


def test_a_file_that_is_also_a_folder_is_refused() -> None:
    with pytest.raises(Broken):
        package({"a": b"x", "a/b": b"y"})


def test_an_empty_package_and_a_moment_without_a_zone_are_refused() -> None:
    with pytest.raises(Broken):
        package({})
    with pytest.raises(Broken):
        ocfl_object(
            CODE,
            FILES,
            message="",
            user_name="a",
            user_address=None,
            created=MOMENT.replace(tzinfo=None),
        )


NAMES = st.text(st.characters(categories=["L", "N"], include_characters=" =+%#"), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(), min_size=1))
def test_whatever_is_packed_comes_out_again(files: dict[str, bytes]) -> None:
    clash = any(other.startswith(f"{path}/") for path in files for other in files)
    if clash:
        with pytest.raises(Broken):
            package(files)
    else:
        assert dict(check_ocfl(package(files)).files) == files
