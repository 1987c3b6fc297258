"""Which release this is: its name, and a hash of everything that it does its work with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.errors import Broken
from infra.release import FOLDER, code_digest, release_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny release."""
    for part in ("flows", "tasks", "infra"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "one.py").write_text(part, encoding="utf-8")
    for name in ("prefect.yaml", "requirements.lock"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    return tmp_path


def test_a_release_without_a_name_is_called_by_its_folder(folder: Path) -> None:
    assert release_name(folder) == str(folder)


def test_a_release_is_called_what_its_file_says(folder: Path) -> None:
    (folder / "RELEASE").write_text("0.2.0 (4f1c2ab)\n", encoding="utf-8")
    assert release_name(folder) == "0.2.0 (4f1c2ab)"


@pytest.mark.parametrize("content", ["", "\n", "two\nlines\n", "x" * 201])
def test_a_name_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / "RELEASE").write_text(content, encoding="utf-8")
    with pytest.raises(Broken):
        release_name(folder)


def test_any_change_of_code_data_or_name_of_a_file_is_another_digest(folder: Path) -> None:
    found = [code_digest(folder)]
    (folder / "tasks" / "one.py").write_text("otherwise", encoding="utf-8")
    found.append(code_digest(folder))
    (folder / "tasks" / "one.py").rename(folder / "tasks" / "two.py")
    found.append(code_digest(folder))
    (folder / "infra" / "new.yaml").write_text("", encoding="utf-8")
    found.append(code_digest(folder))
    (folder / "prefect.yaml").write_text("otherwise", encoding="utf-8")
    found.append(code_digest(folder))
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in found)


def test_what_running_leaves_behind_is_no_part_of_it(folder: Path) -> None:
    before = code_digest(folder)
    (folder / "flows" / "__pycache__").mkdir()
    (folder / "flows" / "__pycache__" / "one.cpython-311.pyc").write_bytes(b"x")
    (folder / "var").mkdir()
    (folder / "var" / "x.json").write_text("{}", encoding="utf-8")
    assert code_digest(folder) == before
    assert code_digest(FOLDER) == code_digest(FOLDER)
