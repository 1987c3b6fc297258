"""
Makes the files that a counter must refuse: `python tests/vectors/make_bad_scans.py`.

Each is a sound little scan (30 × 20 mm at 200 dpi) with exactly one thing wrong, so that a test which
expects one refusal cannot pass because of another. Everything but the encrypted files is reproducible.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from PIL import Image

FOLDER = Path(__file__).with_name("scans")
WIDTH, HEIGHT = 236, 157
PAGE = (0, 0, 85, 56.5)
FILL = b"q 85 0 0 56.5 0 0 cm /Im0 Do Q"


def picture(mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Return a picture with something on it."""
    rng = random.Random(7)
    small = Image.new("RGB", (12, 8))
    small.putdata([(rng.randrange(256), rng.randrange(256), rng.randrange(256)) for _ in range(96)])
    return small.resize(size, Image.Resampling.BICUBIC).convert(mode)


def file_of(image: Image.Image, kind: str = "JPEG", dpi: float | None = 200) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **({"dpi": (dpi, dpi)} if dpi else {}))
    return out.getvalue()


def image_object(pdf: Pdf, image: Image.Image | None = None, **more: object) -> Stream:
    """Return a picture as a PDF object."""
    image = image or picture()
    space = {"RGB": Name.DeviceRGB, "L": Name.DeviceGray, "CMYK": Name.DeviceCMYK}[image.mode]
    entries = {
        "Type": Name.XObject,
        "Subtype": Name.Image,
        "Width": image.width,
        "Height": image.height,
        "ColorSpace": space,
        "BitsPerComponent": 8,
        "Filter": Name.DCTDecode,
    }
    return Stream(pdf, file_of(image), **{**entries, **more})


def scan(
    *,
    image: Callable[[Pdf], Stream] = image_object,
    content: bytes = FILL,
    change: Callable[[Pdf, Dictionary], None] | None = None,
    **page_entries: object,
) -> Pdf:
    """Return a PDF of one page that is a scan, with something changed."""
    pdf = pikepdf.new()
    font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    page = pdf.make_indirect(
        Dictionary(
            Type=Name.Page,
            MediaBox=list(PAGE),
            Resources=Dictionary(XObject=Dictionary(Im0=image(pdf)), Font=Dictionary(F0=font)),
            Contents=Stream(pdf, content),
            **page_entries,
        )
    )
    pdf.pages.append(pikepdf.Page(page))
    if change:
        change(pdf, page)
    return pdf


def saved(pdf: Pdf, **options: object) -> bytes:
    """Return a PDF's bytes, the same each time."""
    out = io.BytesIO()
    as_is = pikepdf.StreamDecodeLevel.none
    plain = {"deterministic_id": True, "stream_decode_level": as_is, "compress_streams": False}
    pdf.save(out, **(options or plain))
    return out.getvalue()


def in_root(**entries: object) -> Pdf:
    """Return a scan with entries in its catalogue."""

    def change(pdf: Pdf, _page: Dictionary) -> None:
        for key, value in entries.items():
            pdf.Root[f"/{key}"] = value

    return scan(change=change)


def with_note(**entries: object) -> Pdf:
    """Return a scan with an annotation on its page."""
    return scan(Annots=Array([Dictionary(Type=Name.Annot, Rect=[5, 5, 20, 20], **entries)]))


def with_files(pdf: Pdf) -> Pdf:
    """Return a PDF with a file attached."""
    pdf.attachments["luong.xlsx"] = b"not a scan"
    return pdf


def signed() -> Pdf:
    """Return a scan with a signature's value in it, as a signed result of another agency has."""

    def change(pdf: Pdf, _page: Dictionary) -> None:
        value = Dictionary(
            Type=Name.Sig,
            Filter=Name("/Adobe.PPKLite"),
            SubFilter=Name("/ETSI.CAdES.detached"),
            ByteRange=[0, 100, 200, 100],
            Contents=String(b"\x30\x00"),
        )
        field = pdf.make_indirect(Dictionary(FT=Name.Sig, T=String("s"), V=pdf.make_indirect(value)))
        pdf.Root.AcroForm = Dictionary(Fields=[field], SigFlags=3)

    return scan(change=change)


def hybrid() -> bytes:
    """Return a scan whose classic cross-reference table points to a second one in a stream."""
    body, _, table = saved(scan()).partition(b"\nxref\n")
    entry = b"\x01" + (len(body) + 1).to_bytes(2, "big") + b"\x00"
    second = (
        b"\n99 0 obj\n<< /Type /XRef /Size 100 /W [1 2 1] /Index [99 1] /Length 4 >>\nstream\n"
        + entry
        + b"\nendstream\nendobj"
    )
    table = table.replace(b"trailer <<", f"trailer << /XRefStm {len(body) + 1}".encode(), 1)
    start = len(body) + len(second) + 1
    return (
        body
        + second
        + b"\nxref\n"
        + table[: table.index(b"startxref")]
        + f"startxref\n{start}\n%%EOF\n".encode()
    )


def unpacking_to(size: int) -> Callable[[Pdf], Stream]:
    """Return a picture of a few hundred kilobytes whose data unpack to much more than its pixels need."""

    def make(pdf: Pdf) -> Stream:
        packer = zlib.compressobj(9)
        block = bytes(1_000_000)
        data = b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()
        stream = image_object(pdf)
        twice = Array([Name.FlateDecode, Name.FlateDecode])
        stream.write(zlib.compress(data, 9), filter=twice, decode_parms=Array([None, None]))
        return stream

    return make


def nested_forms(depth: int) -> Callable[[Pdf, Dictionary], None]:
    """Return a change that hides the picture under many forms."""

    def change(pdf: Pdf, page: Dictionary) -> None:
        inner = page.Resources.XObject.Im0
        for _ in range(depth):
            inner = Stream(
                pdf,
                b"/Im0 Do",
                Type=Name.XObject,
                Subtype=Name.Form,
                BBox=list(PAGE),
                Resources=Dictionary(XObject=Dictionary(Im0=inner)),
            )
        page.Resources.XObject.Im0 = inner

    return change


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG that says it is enormous; its data need not be there to be refused."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


SCRIPT = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))
LAUNCH = Dictionary(S=Name.Launch, F=String("cmd.exe"))


def files() -> dict[str, bytes]:
    """Return every bad file by name."""
    good = saved(scan())
    jpeg = file_of(picture())
    grey = picture("L")
    type3 = Dictionary(Type=Name.Font, Subtype=Name.Type3)
    return {
        "text.pdf": "Đây không phải là tệp PDF.\n".encode(),
        "word.pdf": b"PK\x03\x04" + bytes(200),
        "empty.pdf": b"",
        "truncated.pdf": good[: len(good) * 2 // 3],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": file_of(picture(), "PNG")[:3000],
        "not-really.jpg": b"\xff\xd8\xff" + bytes(300),
        "zero-pages.pdf": saved(pikepdf.new()),
        "encrypted.pdf": saved(scan(), encryption=pikepdf.Encryption(user="a", owner="b")),
        "owner-password.pdf": saved(scan(), encryption=pikepdf.Encryption(user="", owner="b")),
        "javascript.pdf": saved(in_root(Names=Dictionary(JavaScript=Dictionary(Names=["a", SCRIPT])))),
        "open-action.pdf": saved(in_root(OpenAction=SCRIPT)),
        "launch.pdf": saved(in_root(OpenAction=LAUNCH)),
        "page-action.pdf": saved(scan(AA=Dictionary(O=SCRIPT))),
        "xfa.pdf": saved(in_root(AcroForm=Dictionary(Fields=Array(), XFA=String("<xdp/>")))),
        "rich-media.pdf": saved(with_note(Subtype=Name.RichMedia)),
        "hybrid.pdf": hybrid(),
        "attachment.pdf": saved(with_files(scan())),
        "attached-note.pdf": saved(with_note(Subtype=Name.FileAttachment)),
        "portfolio.pdf": saved(in_root(Collection=Dictionary(Type=Name.Collection))),
        "form.pdf": saved(in_root(AcroForm=Dictionary(Fields=[Dictionary(FT=Name.Tx, T=String("a"))]))),
        "note.pdf": saved(with_note(Subtype=Name.Text, Contents=String("xin chào"))),
        "layers.pdf": saved(in_root(OCProperties=Dictionary(OCGs=Array()))),
        "signed.pdf": saved(signed()),
        "born-digital.pdf": saved(scan(content=b"BT /F0 12 Tf 10 20 Td (Xin chao) Tj ET")),
        "stamped.pdf": saved(scan(content=FILL + b" BT /F0 12 Tf 10 20 Td (SAO Y) Tj ET")),
        "loud-font.pdf": saved(
            scan(
                content=FILL + b" BT /F1 12 Tf 3 Tr 10 20 Td (x) Tj ET",
                change=lambda _pdf, page: page.Resources.Font.__setitem__("/F1", type3),
            )
        ),
        "drawn.pdf": saved(scan(content=FILL + b" 5 5 20 20 re f")),
        "blank.pdf": saved(scan(content=b"")),
        "half-page.pdf": saved(scan(content=b"q 85 0 0 28 0 0 cm /Im0 Do Q")),
        "two-pictures.pdf": saved(scan(content=FILL + b" q 10 0 0 10 0 0 cm /Im0 Do Q")),
        "askew.pdf": saved(scan(content=b"q 85 4 -4 56.5 0 0 cm /Im0 Do Q")),
        "shaped.pdf": saved(scan(content=b"q 0 0 m 85 0 l 40 56 l h W n 85 0 0 56.5 0 0 cm /Im0 Do Q")),
        "masked.pdf": saved(scan(image=lambda pdf: image_object(pdf, SMask=image_object(pdf, grey)))),
        "faded.pdf": saved(
            scan(
                content=b"/G0 gs " + FILL,
                change=lambda _pdf, page: page.Resources.__setitem__(
                    "/ExtGState", Dictionary(G0=Dictionary(ca=0.5))
                ),
            )
        ),
        "grey.pdf": saved(scan(image=lambda pdf: image_object(pdf, grey))),
        "grey-72-dpi.jpg": file_of(grey.resize((85, 57)), dpi=72),
        "bitonal.png": file_of(picture("1"), "PNG"),
        "transparent.png": file_of(picture("RGBA"), "PNG"),
        "colour-150-dpi.jpg": file_of(picture(), dpi=150),
        "enlarged.pdf": saved(scan(UserUnit=2)),
        "contradicts-itself.pdf": saved(scan(image=lambda pdf: image_object(pdf, Width=100, Height=100))),
        "huge.png": huge_png(60_000, 60_000),
        "bomb.pdf": saved(scan(image=unpacking_to(2_000_000_000))),
        "nested.pdf": saved(scan(change=nested_forms(20))),
        "recursive.pdf": saved(scan(change=_recursive)),
    }


def _recursive(pdf: Pdf, page: Dictionary) -> None:
    """Make a form that uses itself."""
    form = Stream(pdf, b"/Im0 Do", Type=Name.XObject, Subtype=Name.Form, BBox=list(PAGE))
    page.Resources.XObject.Im0 = form


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
