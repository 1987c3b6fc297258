"""F19: files that are small and unpack to a mountain, have no end, or are a mountain: refused, and nothing is left of them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from tests.faults.runner.injectors import Fault, Scene
from tests.faults.runner.site import NOT_NOW, REFUSED

#: How a refusal names its rule.
_RULE = re.compile(r"\b[A-Z]+-\d+\b")


def _pdf(*objects: bytes, size: int = 0, prev: int | None = None) -> bytes:
    """Return a PDF of some objects, numbered from 1, with a trailer that may lie."""
    out, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(places) + 1, table)
    more = b"" if prev is None else b" /Prev %d" % (prev if prev >= 0 else start)
    out += b"trailer\n<< /Root 1 0 R /Size %d%s >>\n" % (size or len(places) + 1, more)
    return out + b"startxref\n%d\n%%%%EOF\n" % start


def _deflate_bomb() -> bytes:
    """Return a page whose picture unpacks, twice, to ten gigabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS)
    block = bytes(1 << 20)
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    same = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    twice = zlib.compress(first + same * 10_000, 9)
    return _pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /XObject << /Im0 5 0 R >> >> >>",
        b"<< /Length 31 >>\nstream\nq 595 0 0 842 0 0 cm /Im0 Do Q\nendstream",
        b"<< /Type /XObject /Subtype /Image /Width 1654 /Height 2339 /BitsPerComponent 8 /ColorSpace /DeviceRGB"
        b" /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n%s\nendstream" % (len(twice), twice),
    )


def _page_bomb() -> bytes:
    """Return a hundred thousand pages in a few hundred bytes: five floors, each ten times the one below."""
    floors = [
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join([b"%d 0 R" % (number + 3)] * 10), 10**floor)
        for number, floor in enumerate(range(5, 0, -1))
    ]
    return _pdf(b"<< /Type /Catalog /Pages 2 0 R >>", *floors, b"<< /Type /Page /MediaBox [0 0 595 842] >>")


def _over_the_limit(folder: Path, limit: int) -> Path:
    """Write a file of one byte too many, which takes no room."""
    path = folder / "over-the-limit.pdf"
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        file.truncate(limit + 1)
    return path


_PAGE = (
    b"<< /Type /Catalog /Pages 2 0 R >>",
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
)
FILES: dict[str, Callable[[], bytes]] = {
    "deflate-bomb.pdf": _deflate_bomb,
    "page-bomb.pdf": _page_bomb,
    "xref-bomb.pdf": lambda: _pdf(*_PAGE, size=2**31 - 1),
    "xref-circle.pdf": lambda: _pdf(*_PAGE, prev=-1),
}


def hostile(folder: Path, limit: int) -> Iterator[Path]:
    """Write the files, one after the other; the last one is a byte larger than what may be brought."""
    for name, make in FILES.items():
        path = folder / name
        path.write_bytes(make())
        yield path
    yield _over_the_limit(folder, limit)


def inject(scene: Scene) -> str:
    """Bring each of them to the counter; each is refused with its rule, and then the dossier goes on with a good scan."""
    site = scene.site
    folder, room = site.place.folder("faults", "sizes"), site.place.folder("faults", "sizes-room")
    life = scene.somebody("sizes")
    if not life.book():
        return ""
    refused = 0
    for path in hostile(folder, site.settings.upload_limit_bytes):
        said = site.hoso(
            "receive", life.code, *life.paid(), "--original", "Giấy", path, by="mai", TMPDIR=str(room)
        )
        rule = _RULE.search(said.err)
        left = sum(one.stat().st_size for one in room.rglob("*") if one.is_file())
        with path.open("rb") as file:
            digest = "" if path.stat().st_size > 50_000_000 else sha256(file.read()).hexdigest()
        site.journal.tell("oversized", file=path.name, codes=[life.code], code=said.code, sha256=digest,
                          rule=rule.group() if rule else "", left=left, said=said.err[:200])  # fmt: skip
        refused += said.code == REFUSED
        if said.code == NOT_NOW:
            continue
        path.unlink()
    if life.act(
        "receive",
        life.code,
        *life.paid(),
        *life.originals(),
        done=("Received", "Certified", "AwaitingSignature"),
    ):
        life.end()
    return f"{refused} of {len(FILES) + 1} refused"


FAULTS = [Fault(row="F19", name="hostile-sizes", inject=inject, slow=True)]
