"""Text as the appearance of a signature: what tools read from it, how it looks, where it stands (SIG-05, SIG-07)."""

from __future__ import annotations

import io
import subprocess
import unicodedata
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from PIL import Image, ImageChops

from infra.clock import HANOI
from infra.errors import Forbidden
from infra.pdf.checking import check_signed
from infra.pdf.lettering import Lettering, lettering
from infra.pdf.signing import sign_field
from infra.token import Token
from infra.token.software import SoftwareDevice

if TYPE_CHECKING:
    from tests.conftest import Authority

AT = datetime(2026, 11, 20, 9, 15, 30, tzinfo=HANOI)
HARD = "Nguyễn Thị Ưỡng – ẳẵặ ệ ợ ử ỹ ĐỨC KHUẾ"
#: The field `official` of the form: 120 × 60 points at (300, 200).
BOX = (300, 200, 420, 260)

Sign = Callable[..., bytes]


@pytest.fixture(scope="module")
def token(authority: Authority) -> Token:
    key = rsa.generate_private_key(65537, 2048)
    device = SoftwareDevice(label="desk", pin="428571", keys={b"\x01": key})
    certificate = authority.issue("UBND xã Thử", key.public_key())
    return device.open("pkcs11:token=desk;id=%01", pin="428571", certificate=certificate)


@pytest.fixture(scope="module")
def sign(authority: Authority, token: Token, form: bytes) -> Sign:
    def made(text: Lettering | None, image: bytes | None = None, field: str = "official") -> bytes:
        signed = sign_field(
            form, field=field, token=token, image=image, text=text, at=AT, certify=False, name=None,
            location=None, reason=None, chain=authority.chain,
        )  # fmt: skip
        check_signed(
            form, signed, field=field, certificate=token.certificate, anchors=authority.anchors,
            chain=authority.chain, at=AT,
        )  # fmt: skip
        return signed

    return made


def page(pdf: bytes, folder: Path) -> Image.Image:
    """The first page as poppler shows it, at one pixel a point."""
    (folder / "a.pdf").write_bytes(pdf)
    subprocess.run(
        ["pdftoppm", "-r", "72", "-png", "-singlefile", folder / "a.pdf", folder / "a"], check=True
    )
    return Image.open(folder / "a.png").convert("RGB")


def redness(picture: Image.Image) -> int:
    """How much more red than green the reddest pixel has."""
    red, green, _ = picture.split()
    return int(ImageChops.subtract(red, green).getextrema()[1])


def read(pdf: bytes, folder: Path) -> str:
    (folder / "a.pdf").write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-layout", folder / "a.pdf", "-"], capture_output=True, text=True)
    return unicodedata.normalize("NFC", done.stdout)


def test_every_vietnamese_letter_is_read_back_by_another_tool(sign: Sign, tmp_path: Path) -> None:
    said = read(sign(lettering([HARD, "20/11/2026 09:15:30 +07:00"], size=6, width=120, height=60)), tmp_path)
    assert HARD in " ".join(said.split())
    assert "20/11/2026 09:15:30 +07:00" in said


def test_sig_07_the_text_is_black_upright_and_size_10_in_the_upper_left_corner(
    sign: Sign, tmp_path: Path
) -> None:
    picture = page(sign(lettering(["SAO Y", "UBND xã Thử"], size=10, width=120, height=60)), tmp_path)
    left, bottom, right, top = BOX
    inside = picture.crop((left, 842 - top, right, 842 - bottom))
    dark = inside.convert("L").point(lambda value: 255 if value < 128 else 0).getbbox()
    assert dark is not None
    assert dark[0] <= 2
    assert 1 <= dark[1] <= 5
    assert 18 <= dark[3] <= 25, "two lines of 10 points"
    assert 50 <= dark[2] <= 70, "letters stand as wide as they are, whatever the units of their face"
    assert redness(inside) < 30


def test_marks_on_capitals_of_the_first_line_are_not_cut_off(sign: Sign, tmp_path: Path) -> None:
    left, _, right, top = BOX
    first = []
    for word in ("E", "Ế"):
        shown = page(sign(lettering([word], size=20, width=120, height=60)), tmp_path)
        ink = shown.crop((left, 842 - top, right, 842 - top + 30)).convert("L")
        box = ink.point(lambda value: 255 if value < 128 else 0).getbbox()
        assert box is not None
        first.append(box[1])
    assert first[0] - first[1] >= 5
    assert first[1] >= 0


def test_the_face_is_embedded_with_a_subset_and_a_table_to_unicode(sign: Sign, tmp_path: Path) -> None:
    pdf = sign(lettering([HARD], size=6, width=120, height=60))
    (tmp_path / "a.pdf").write_bytes(pdf)
    fonts = subprocess.run(
        ["pdffonts", tmp_path / "a.pdf"], capture_output=True, text=True
    ).stdout.splitlines()[2:]
    assert len(fonts) == 1
    assert "+LiberationSerif" in fonts[0]
    assert fonts[0].split()[-5:-2] == ["yes", "yes", "yes"]
    check = subprocess.run(["qpdf", "--check", tmp_path / "a.pdf"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_same_text_gives_the_same_appearance(sign: Sign) -> None:
    text = lettering(["SAO Y", HARD], size=6, width=120, height=60)
    shown = [pikepdf.open(io.BytesIO(sign(text))) for _ in range(2)]
    programs = [
        [o.read_raw_bytes() for o in pdf.objects if isinstance(o, pikepdf.Stream) and "/Length1" in o]
        for pdf in shown
    ]
    assert programs[0] == programs[1]
    assert len(programs[0][0]) < 20_000


def test_sig_05_text_stands_under_a_seal_of_the_field_s_width(
    sign: Sign, picture: bytes, tmp_path: Path
) -> None:
    text = lettering(["UBND", "20/11/2026"], size=8, width=84, height=20)
    shown = page(sign(text, picture, "seal"), tmp_path)
    left, bottom, right, top = 240, 180, 342, 282
    inside = shown.crop((left, 842 - top, right, 842 - bottom))
    red = inside.convert("RGB").split()[1].point(lambda value: 255 if value < 120 else 0)
    ring = inside.crop((0, 0, 102, 84))
    assert redness(ring) > 80
    assert red.crop((0, 84, 102, 102)).getbbox() is not None
    assert redness(inside.crop((0, 86, 102, 102))) < 80


def test_what_has_no_room_or_no_letter_is_refused() -> None:
    with pytest.raises(Forbidden, match="no room"):
        lettering(["Ủy ban nhân dân"] * 6, size=10, width=100, height=50)
    with pytest.raises(Forbidden, match="no room"):
        lettering(["Supercalifragilistic"], size=10, width=20, height=50)
    with pytest.raises(Forbidden, match="U\\+4E2D"):
        lettering(["中"], size=10, width=100, height=50)


def test_long_lines_break_between_words() -> None:
    text = lettering(["Ủy ban nhân dân xã Bình Liêu"], size=10, width=90, height=50)
    assert text.lines == ("Ủy ban nhân dân xã", "Bình Liêu")
    assert text.height == pytest.approx(24)
