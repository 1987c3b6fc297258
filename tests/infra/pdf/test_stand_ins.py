"""Pictures that are put into a set page afterwards: the same file as if the compiler had read them."""

from __future__ import annotations

import io
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pikepdf
import pytest
from PIL import Image, ImageCms

from infra.errors import Broken
from infra.pdf import jpeg, typeset
from infra.pdf.stand_ins import stand_ins, take_their_places
from tests.infra.pdf.test_jpeg import saved

WHEN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
#: What an identifier is made of, wherever it stands.
_IDENTIFIER = re.compile(rb"[A-Za-z0-9+/]{22}==")
TEMPLATE = """
#set page(width: 100mm, height: 100mm, margin: 0mm)
#let pictures = json("values.json").pictures
#for one in pictures [#image("images/" + one, width: 90mm, height: 30mm, fit: "stretch") ]
Chữ
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    file = tmp_path / "pictures.typ"
    file.write_text(TEMPLATE, encoding="utf-8")
    return file


def bare(size: tuple[int, int] = (67, 45), **options: object) -> bytes:
    return jpeg.cleaned(saved(size, **options), None, 1)


def pictures(*contents: bytes) -> dict[str, bytes]:
    return {f"{number}.jpg": content for number, content in enumerate(contents)}


def set_page(template: Path, stretched: dict[str, bytes]) -> bytes:
    values = {"pictures": list(stretched)}
    return typeset.typeset(template, values=values, images={}, stretched=stretched, date=WHEN)


def test_the_file_is_the_compilers_own_but_for_its_identifier(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = pictures(bare((67, 45)), bare((120, 30), quality=30), bare((9, 200), progressive=True))
    ours = set_page(template, chosen)
    monkeypatch.setattr("infra.pdf.typeset.stand_ins", lambda _: {})
    theirs = set_page(template, chosen)
    assert _IDENTIFIER.sub(b"", ours) == _IDENTIFIER.sub(b"", theirs)
    assert ours != theirs
    (tmp_path / "page.pdf").write_bytes(ours)
    checked = subprocess.run(["qpdf", "--check", tmp_path / "page.pdf"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_pictures_are_in_it_byte_for_byte_and_in_their_order(template: Path) -> None:
    chosen = pictures(bare((67, 45)), bare((120, 30)))
    with pikepdf.open(io.BytesIO(set_page(template, chosen))) as pdf:
        found = [image.read_raw_bytes() for image in pdf.pages[0].get_images().values()]
    assert sorted(found) == sorted(chosen.values())


def test_the_same_pictures_give_the_same_bytes_and_another_picture_another_identifier(template: Path) -> None:
    one, other = pictures(bare(quality=80)), pictures(bare(quality=81))
    assert set_page(template, one) == set_page(template, one)
    found = [_IDENTIFIER.findall(set_page(template, each))[-1] for each in (one, other)]
    assert found[0] != found[1]


def with_profile() -> bytes:
    out = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (20, 20)).save(out, "JPEG", icc_profile=profile)
    return out.getvalue()


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (20, 20)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [png(), with_profile(), bare() + b"more", saved(dpi=(200, 200))],
    ids=["png", "profile", "trailing bytes", "metadata"],
)
def test_a_picture_that_says_more_than_its_pixels_is_left_to_the_compiler(content: bytes) -> None:
    assert stand_ins(pictures(content)) == {}


@pytest.mark.parametrize(
    ("was", "instead"),
    [
        (b"/Width 8/", b"/Width  8/"),
        (b"startxref\n", b"startxref \n"),
        (b"xref\n0 ", b"xref\n1 "),
        (b"0.jpg ", b"9.jpg "),
    ],
    ids=["dictionary", "start", "table", "picture"],
)
def test_a_compiler_that_writes_in_another_way_is_noticed(
    template: Path, monkeypatch: pytest.MonkeyPatch, was: bytes, instead: bytes
) -> None:
    chosen = pictures(bare())
    plain = typeset._compile
    monkeypatch.setattr("infra.pdf.typeset._compile", lambda *words: plain(*words).replace(was, instead))
    with pytest.raises(Broken):
        set_page(template, chosen)


def test_a_picture_that_was_set_twice_is_noticed(template: Path) -> None:
    chosen = pictures(bare())
    stood = stand_ins(chosen)
    pdf = b"".join(stood.values()) * 2
    with pytest.raises(Broken, match="once"):
        take_their_places(pdf, stood, chosen)
