"""Typesetting: values are data, the result is PDF/A-2b, and the same input gives the same bytes."""

from __future__ import annotations

import io
import threading
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from fontTools.ttLib import TTFont

from infra.errors import Broken
from infra.pdf.typeset import FONTS, Unprintable, typeset

WHEN = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
Shown = Callable[[bytes], set[str]]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A template that prints one value."""
    path = tmp_path / "page.typ"
    path.write_text(
        '#set document(date: auto)\n#set text(font: "Liberation Serif")\n#json("values.json").name\n',
        encoding="utf-8",
    )
    return path


def test_values_are_never_read_as_markup(page: Path, shown_characters: Shown) -> None:
    pdf = typeset(page, values={"name": '#panic("x") *đậm* $y$ \\'}, images={}, date=WHEN)
    assert set('#panic("x") *đậm* $y$ \\') - {" "} <= shown_characters(pdf)


def test_the_result_has_what_pdf_a_2b_asks_for(page: Path) -> None:
    pdf = typeset(page, values={"name": "Ủy ban nhân dân"}, images={}, date=WHEN)
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        assert opened.Root.OutputIntents[0].S == "/GTS_PDFA1"
        metadata = opened.open_metadata()
        assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("2", "B")
        descriptors = [o for o in opened.objects if isinstance(o, pikepdf.Dictionary) and "/FontName" in o]
        assert descriptors
        assert all("/FontFile2" in d or "/FontFile3" in d for d in descriptors)
        assert "/ID" in opened.trailer
    # A later revision must begin on a line of its own (ISO 19005-2 §6.1.9).
    assert pdf.endswith(b"%%EOF\n")


def test_the_same_input_gives_the_same_bytes_in_every_thread(page: Path) -> None:
    results: list[bytes] = []

    def work() -> None:
        results.append(typeset(page, values={"name": "Bình Liêu"}, images={}, date=WHEN))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1


def test_another_date_gives_other_bytes(page: Path) -> None:
    one, other = (
        typeset(page, values={"name": "a"}, images={}, date=WHEN.replace(hour=hour)) for hour in (3, 4)
    )
    assert one != other


def test_decomposed_and_composed_letters_print_alike(page: Path) -> None:
    name = "Nguyễn Thị Thuỷ Đường"
    pages = [
        typeset(page, values={"name": unicodedata.normalize(form, name)}, images={}, date=WHEN)
        for form in ("NFC", "NFD")
    ]
    assert pages[0] == pages[1]


def test_invisible_characters_do_not_reach_the_paper(page: Path) -> None:
    plain = typeset(page, values={"name": "Lâm"}, images={}, date=WHEN)
    assert typeset(page, values={"name": "L\u200bâm\u202e"}, images={}, date=WHEN) == plain


def test_a_name_that_cannot_be_printed_is_refused_instead_of_shown_as_boxes(page: Path) -> None:
    with pytest.raises(Unprintable, match=r"李.*U\+674E"):
        typeset(page, values={"people": [{"name": "李 Minh"}]}, images={}, date=WHEN)


@pytest.mark.parametrize(
    "text",
    [
        "#set document(date: auto)\n#no-such-thing()",
        '#set document(date: auto)\n#set text(font: "Times New Roman")\nMột',
        '#set document(date: auto)\n#read("/etc/hostname")',
        '#set document(date: auto)\n#import "@preview/cetz:0.3.0"',
        '#set document(date: auto)\n#image("images/absent.png")',
    ],
    ids=["mistake", "absent font", "file outside", "package", "absent picture"],
)
def test_a_template_that_fails_or_reaches_outside_is_broken(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.typ"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Broken, match=r"bad\.typ"):
        typeset(path, values={}, images={}, date=WHEN)


def test_an_absent_template_and_a_date_without_zone_are_broken(page: Path, tmp_path: Path) -> None:
    with pytest.raises(Broken, match="lacks a file"):
        typeset(tmp_path / "absent.typ", values={}, images={}, date=WHEN)
    with pytest.raises(Broken, match="time zone"):
        typeset(page, values={"name": "a"}, images={}, date=WHEN.replace(tzinfo=None))


def test_every_shipped_font_has_all_vietnamese_letters_and_its_licence() -> None:
    vowels = "aăâeêioôơuưyAĂÂEÊIOÔƠUƯY"
    tones = ("", "\u0300", "\u0301", "\u0303", "\u0309", "\u0323")
    letters = {unicodedata.normalize("NFC", vowel + tone) for vowel in vowels for tone in tones} | set("đĐ₫")
    fonts = sorted(FONTS.glob("*.ttf"))
    assert len(fonts) >= 4
    assert "SIL OPEN FONT LICENSE" in (FONTS / "LICENSE.txt").read_text()
    for path in fonts:
        with TTFont(path, lazy=True) as font:
            missing = {letter for letter in letters if ord(letter) not in font.getBestCmap()}
        assert not missing, path.name
