"""
Takes the attachments out of a package without holding it in memory: what is left is a small XML document.

The package comes from anybody. It is read once, in pieces, by expat; document types, entities and encodings
besides UTF-8 are refused before anything is expanded (EDX-13), sizes and depths are counted while it is read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from infra.edxml.faults import Faulty, mismatch, missing, out_of_range

_PIECE = 1 << 18
_BLANKS = b" \t\r\n"
#: What may lead to the bytes of an attachment, which are then read past the parser.
_NAME = b"ContentTransferEncoded"
#: Where the bytes of attachments stand; elsewhere they count as part of the document.
_CONTENT = ("edXML", "AttachmentEncoded", "Attachment", "ContentTransferEncoded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Most:
    """How much a package may hold."""

    file_bytes: int = 200_000_000
    attachment_bytes: int = 120_000_000
    attachments: int = 100
    #: Everything besides the attachments' bytes.
    rest_bytes: int = 2_000_000
    depth: int = 30
    elements: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The bytes of one attachment, in a file of their own."""

    path: Path
    size: int
    sha256: str
    first: bytes  # its first bytes, which say what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A package in two: the document without the attachments' bytes, and those, in the order of the file."""

    rest: bytes
    parts: tuple[Part, ...]
    sha256: str
    size: int


def split(package: Path, folder: Path, most: Most | None = None) -> Split:
    """
    Return a package's document and its attachments, written into `folder` as `part-1` and so on.

    Raises `Faulty` for what is no package of this kind, or too large. Uses a few megabytes of memory, whatever
    the package holds. Pure but for the files: the same package gives the same answer.
    """
    reader = _Reader(folder, most or Most())
    with package.open("rb") as file, reader.files:
        digest = hashlib.sha256()
        size = 0
        while piece := file.read(_PIECE):
            size += len(piece)
            digest.update(piece)
            if size == len(piece):
                _must_be_utf8(piece)
            reader.feed(piece, size)
        reader.feed(b"", size, last=True)
        rest = _without(file, reader.cuts, size)
    return Split(rest=rest, parts=tuple(reader.parts), sha256=digest.hexdigest(), size=size)


def _must_be_utf8(piece: bytes) -> None:
    """Refuse other encodings by their first bytes."""
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in piece[:4]:
        raise Faulty([mismatch("edXML", "the package is not written in UTF-8")])


@dataclass(slots=True)
class _Reader:
    """What is known while a package is read."""

    folder: Path
    most: Most
    cuts: list[tuple[int, int, str]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    files: ExitStack = field(default_factory=ExitStack)
    _path: list[str] = field(default_factory=list)
    _elements: int = 0
    _cut_from: int = 0
    _cut_bytes: int = 0
    _content: _Bytes | None = None
    _read: int = 0
    _moved_at: int = 0
    #: Bytes and lines that the parser did not see, and whether it stands right behind the start of an attachment.
    _past: int = 0
    _lines: int = 0
    _direct: bool = False
    #: Where the start tag of an attachment stands in what the parser has seen, and how much that is.
    _tag_at: int = -1
    _seen: int = 0
    _stops: int = 0
    _parser: expat.XMLParserType = field(init=False)

    def __post_init__(self) -> None:
        """Make a parser that expands nothing."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = _PIECE
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.XmlDeclHandler = _declared
        for name in ("StartDoctypeDeclHandler", "EntityDeclHandler", "ExternalEntityRefHandler"):
            setattr(parser, name, _refuse_types)
        self._parser = parser

    def feed(self, piece: bytes, read: int, *, last: bool = False) -> None:
        """Read one piece more."""
        if read > self.most.file_bytes:
            raise Faulty([out_of_range("edXML", f"the package has more than {self.most.file_bytes} bytes")])
        self._read = read
        at = 0
        while at < len(piece):
            at = self._past_parser(piece, at) if self._direct else self._through_parser(piece, at)
        if last:
            self._parse(b"", last=True)
        inside = read - self._cut_from if self._content is not None else 0
        if read - self._cut_bytes - inside > self.most.rest_bytes:
            about = f"the package holds more than {self.most.rest_bytes} bytes besides its attachments"
            raise Faulty([out_of_range("edXML", about)])
        if self._content is not None and read - self._moved_at > self.most.rest_bytes:
            # A comment of that length would be looked at again from its beginning with every piece.
            raise Faulty(
                [mismatch("AttachmentEncoded.Attachment", "an attachment holds something else than base64")]
            )

    def _past_parser(self, piece: bytes, at: int) -> int:
        """
        Take an attachment's bytes up to the next markup, and return where that is.

        The parser would only copy them: between two tags nothing but letters of base64 and blanks is taken, and
        whatever else stands there is refused by `_Bytes` or, if it is markup, goes through the parser.
        """
        assert self._content is not None
        end = piece.find(b"<", at)
        coded = piece[at : end if end >= 0 else len(piece)]
        if b"&" in coded:
            self._direct = False
            return at
        self._past += len(coded)
        self._lines += coded.count(b"\n")
        if coded:
            self._moved_at = self._read
            self._content.take(coded)
        self._direct = end < 0
        return at + len(coded)

    def _through_parser(self, piece: bytes, at: int) -> int:
        """Let the parser read on, at most to the end of a tag that begins an attachment; return where it stands."""
        # Each stop makes the parser look again at what it had not understood: a package gets no more than it needs.
        named = piece.find(_NAME, at) if self._stops < 2 * self.most.attachments else -1
        end = piece.find(b">", named) if named >= 0 else -1
        self._stops += end >= 0
        part = piece[at : end + 1 if end >= 0 else len(piece)]
        before, self._tag_at = self._seen, -1
        self._seen += len(part)
        self._parse(part)
        # A tag that lies in this part as a whole, and holds one end of a tag as its last byte, was read to its end.
        tag = part[self._tag_at - before :] if self._tag_at >= before else b""
        self._direct = self._content is not None and tag.find(b">") == len(tag) - 1 >= 0
        return at + len(part)

    def _parse(self, part: bytes, *, last: bool = False) -> None:
        """Let the parser read bytes."""
        try:
            self._parser.Parse(part, last)
        except expat.ExpatError as error:
            line = error.lineno + self._lines
            about = f"the package is no well-formed XML: {expat.ErrorString(error.code)} in line {line}"
            raise Faulty([mismatch("edXML", about)]) from error

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        """Go into an element."""
        self._elements += 1
        self._path.append(name.rpartition(":")[2])
        if self._elements > self.most.elements or len(self._path) > self.most.depth:
            raise Faulty([out_of_range("edXML", "the package has too many elements, or too deep ones")])
        if self._content is not None:
            raise Faulty(
                [mismatch("AttachmentEncoded.Attachment", "an attachment holds elements, not base64")]
            )
        if tuple(self._path) == _CONTENT:
            if len(self.parts) >= self.most.attachments:
                about = f"the package has more than {self.most.attachments} attachments"
                raise Faulty([out_of_range("AttachmentEncoded", about)])
            path = self.folder / f"part-{len(self.parts) + 1}"
            self._tag_at = self._parser.CurrentByteIndex
            self._cut_from = self._tag_at + self._past
            self._moved_at = self._read
            self._content = _Bytes(
                path, self.files.enter_context(path.open("wb")), self.most.attachment_bytes
            )

    def _text(self, text: str) -> None:
        """Take in text; an attachment's is decoded at once."""
        if self._content is not None:
            self._moved_at = self._read
            try:
                self._content.take(text.encode("ascii"))
            except UnicodeEncodeError as error:
                raise _not_base64() from error

    def _end(self, name: str) -> None:
        """Leave an element."""
        self._path.pop()
        if self._content is not None:
            self.parts.append(self._content.end())
            self._content = None
            here = self._parser.CurrentByteIndex + self._past
            self.cuts.append((self._cut_from, here, name))
            self._cut_bytes += here - self._cut_from


def _declared(_version: str, encoding: str | None, _standalone: int) -> None:
    """Refuse other encodings by what the package says of itself."""
    if encoding is not None and encoding.lower() not in ("utf-8", "utf8"):
        raise Faulty([mismatch("edXML", "the package is not written in UTF-8")])


def _refuse_types(*_: object) -> int:
    """Refuse whatever could expand or lead elsewhere."""
    raise Faulty([mismatch("edXML", "the package declares a document type or an entity")])


@dataclass(slots=True)
class _Bytes:
    """The bytes of one attachment while they come in."""

    path: Path
    file: BinaryIO
    most: int
    size: int = 0
    first: bytes = b""
    _left: bytes = b""
    _over: bool = False
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def take(self, coded: bytes) -> None:
        """Decode what came, up to the last whole group of four."""
        if any(blank in coded for blank in _BLANKS):
            coded = coded.translate(None, _BLANKS)
        coded = self._left + coded
        whole = len(coded) - len(coded) % 4
        self._left = coded[whole:]
        self._write(coded[:whole])

    def end(self) -> Part:
        """Return the attachment when all of it has come."""
        if self._left:
            raise _not_base64()
        self.file.close()
        return Part(path=self.path, size=self.size, sha256=self._digest.hexdigest(), first=self.first)

    def _write(self, coded: bytes) -> None:
        """Decode whole groups; nothing may follow padding."""
        if not coded:
            return
        if self._over:
            raise _not_base64()
        try:
            content = base64.b64decode(coded, validate=True)
        except binascii.Error as error:
            raise _not_base64() from error
        self._over = coded.endswith(b"=")
        self.size += len(content)
        if self.size > self.most:
            about = f"an attachment has more than {self.most} bytes"
            raise Faulty([out_of_range("AttachmentEncoded.Attachment", about)])
        if len(self.first) < 16:
            self.first = (self.first + content)[:16]
        self._digest.update(content)
        self.file.write(content)


def _not_base64() -> Faulty:
    """Return the refusal of an attachment that cannot be decoded."""
    about = "the bytes of an attachment are not base64"
    return Faulty([mismatch("AttachmentEncoded.Attachment.ContentTransferEncoded", about)])


def _without(file: BinaryIO, cuts: list[tuple[int, int, str]], size: int) -> bytes:
    """Return a file without the elements that begin at the first mark and whose end tag, if any, is at the second."""
    kept: list[bytes] = []
    at = 0
    for start, end, name in cuts:
        kept.append(_span(file, at, start))
        closing = f"</{name}".encode()
        tail = _span(file, end, min(end + len(closing) + 400, size))
        at = end + tail.find(b">") + 1 if tail.startswith(closing) else end
    kept.append(_span(file, at, size))
    rest = b"".join(kept)
    if not rest.strip():
        raise Faulty([missing("edXML", "the package is empty")])
    return rest


def _span(file: BinaryIO, start: int, end: int) -> bytes:
    """Return the bytes of a file from one place up to another."""
    file.seek(start)
    return file.read(end - start)
