"""The form of a JPEG: what may be known of its picture without making its pixels, and what may not."""

from __future__ import annotations

import io
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from infra.pdf import jpeg
from infra.pdf.pages import Unfit
from infra.pdf.pictures import open_picture

#: What names the channels, in the frame and in the scan.
_NAMES = ((b"\x01\x22\x00\x02\x11\x01\x03\x11\x01", 0, 3, 6), (b"\x03\x01\x00\x02\x11\x03\x11", 1, 3, 5))


def picture(size: tuple[int, int] = (67, 45)) -> Image.Image:
    small = Image.new("RGB", (6, 4))
    chance = random.Random(3)
    small.putdata([tuple(chance.randrange(256) for _ in range(3)) for _ in range(24)])
    return small.resize(size, Image.Resampling.BICUBIC)


def saved(size: tuple[int, int] = (67, 45), **options: object) -> bytes:
    out = io.BytesIO()
    picture(size).save(out, "JPEG", **{"quality": 80, **options})
    return out.getvalue()


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def with_segment(data: bytes, marker: int, payload: bytes) -> bytes:
    """Return a JPEG with one more segment right after its beginning."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + data[2:]


def named_rgb(data: bytes) -> bytes:
    """Return a JPEG whose channels are called R, G and B, which decoders believe where no segment says otherwise."""
    for old, *places in _NAMES:
        new = bytearray(old)
        for place, name in zip(places, b"RGB", strict=True):
            new[place] = name
        assert data.count(old) == 1
        data = data.replace(old, bytes(new))
    return data


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[jpeg.ORIENTATION] = orientation
    return tags.tobytes()


@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.integers(5, 100),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    restarts=st.sampled_from([0, 1, 3]),
    dpi=st.booleans(),
    beside=st.lists(st.tuples(st.sampled_from([0xE1, 0xE3, 0xED, 0xFE]), st.binary(max_size=40)), max_size=3),
)
def test_a_plain_jpeg_and_its_cleaned_file_show_the_same_pixels(
    size: tuple[int, int],
    quality: int,
    subsampling: int,
    progressive: bool,
    restarts: int,
    dpi: bool,
    beside: list[tuple[int, bytes]],
) -> None:
    options: dict[str, object] = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
    options |= {"restart_marker_blocks": restarts} if restarts else {}
    options |= {"dpi": (200, 200)} if dpi else {}
    data = saved(size, **options)
    for marker, payload in beside:
        data = with_segment(data, marker, payload)
    assert jpeg.is_plain(data)
    clean = jpeg.cleaned(data, None, 1)
    assert pixels(clean) == pixels(data)
    assert jpeg.is_plain(clean)
    assert jpeg.cleaned(clean, None, 1) == clean


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("bytes between segments", lambda data: data[:2] + b"\x00" + data[2:]),
        ("fill bytes", lambda data: data[:2] + b"\xff" + data[2:]),
        ("a word on how colour was coded", lambda d: with_segment(d, 0xEE, b"Adobe\0\x64\0\0\0\0\0")),
        ("no end", lambda data: data[:-2]),
        ("a cut", lambda data: data[: len(data) // 2]),
        ("a second frame", lambda data: data[:-2] + data[data.index(b"\xff\xc0") :]),
        ("channels of other names", named_rgb),
        ("arithmetic coding", lambda data: data.replace(b"\xff\xc0", b"\xff\xc9")),
        ("a number of lines that comes later", lambda data: with_segment(data, 0xDC, b"\0\x01")),
        ("a picture in a picture", lambda data: data[:2] + data),
        ("nothing but a beginning", lambda data: data[:2]),
        ("a length beyond the end", lambda data: data[:4] + b"\xff\xff" + data[6:]),
    ],
)
def test_what_two_readers_may_read_in_two_ways_is_not_plain(what: str, spoil: object) -> None:
    data = saved()
    assert jpeg.is_plain(data)
    spoilt = spoil(data)  # type: ignore[operator]
    assert spoilt != data, what
    assert not jpeg.is_plain(spoilt)


def test_a_plain_jpeg_is_opened_without_making_its_pixels_and_another_with_them() -> None:
    plain, named = saved(), named_rgb(saved())
    assert open_picture(plain, "1.jpg").pixels is None
    assert open_picture(plain, "1.jpg").stored == (67, 45)
    assert open_picture(named, "1.jpg").pixels is not None


def test_a_jpeg_that_is_decoded_otherwise_without_its_metadata_is_refused() -> None:
    # With a JFIF segment its channels are Y, Cb and Cr whatever their names; without, they are R, G and B.
    data = named_rgb(saved())
    opened = open_picture(data, "1.jpg")
    with pytest.raises(Unfit, match="damaged"):
        opened.encode(None, "1.jpg")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_whose_data_breaks_off_is_refused_although_its_pixels_are_not_made(progressive: bool) -> None:
    whole = saved((640, 480), progressive=progressive)
    for part in (0.3, 0.6, 0.95):
        with pytest.raises(Unfit, match="damaged or incomplete"):
            open_picture(whole[: int(len(whole) * part)], "1.jpg")


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_plain_jpeg_that_is_cropped_or_turned_has_the_pixels_of_the_whole(orientation: int) -> None:
    data = saved(exif=exif(orientation))
    opened = open_picture(data, "1.jpg")
    assert opened.pixels is None
    content, media_type = opened.encode((3, 5, 23, 35), "1.jpg")
    turned = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}[orientation]
    seen = Image.open(io.BytesIO(data))
    seen = seen.transpose(turned) if turned is not None else seen
    assert media_type == "image/png"
    assert pixels(content) == seen.crop((3, 5, 23, 35)).tobytes()
    kept, _ = opened.encode(None, "1.jpg")
    assert Image.open(io.BytesIO(kept)).getexif().get(jpeg.ORIENTATION, 1) == orientation
