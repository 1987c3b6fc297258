"""Scans to read and pages to look into: what the suites of `infra/pdf` share."""

from __future__ import annotations

import importlib.util
import io
import re
from pathlib import Path
from types import ModuleType

import pikepdf
import pytest

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture(scope="session")
def making() -> ModuleType:
    """The module that makes scans, good ones and bad ones."""
    spec = importlib.util.spec_from_file_location("make_bad_scans", VECTORS / "make_bad_scans.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def bad_scans() -> Path:
    """The folder of files that must be refused."""
    return VECTORS / "scans"


def characters(pdf: bytes) -> set[str]:
    """Return the characters that a PDF's embedded fonts were asked to show, by their ToUnicode tables."""
    shown: set[str] = set()
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        for item in opened.objects:
            if isinstance(item, pikepdf.Dictionary) and "/ToUnicode" in item:
                table = item.ToUnicode.read_bytes()
                for block in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL):
                    for code in re.findall(rb"<[0-9A-Fa-f]+>\s*<([0-9A-Fa-f]+)>", block):
                        shown.update(bytes.fromhex(code.decode()).decode("utf-16-be"))
    return shown


@pytest.fixture(scope="session")
def shown_characters():
    """What a PDF shows, as a set of characters."""
    return characters
