"""Hostile files at both doors: each is refused by its code, before anything else reads it."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream, String

from infra.pdf.confined import Cost, asking
from infra.pdf.intake import read_scans
from infra.pdf.pages import REFUSALS, Limits, Unfit
from infra.pdf.scans import prepare_libraries
from infra.pdf.screening import screen_signed
from tests.attacks.target import Target

if TYPE_CHECKING:
    from tests.conftest import Authority

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))


@pytest.fixture(scope="module")
def making() -> ModuleType:
    """The module that makes bad scans."""
    spec = importlib.util.spec_from_file_location("making", ROOT / "tests/vectors/make_bad_scans.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def target(authority: Authority, form: bytes, picture: bytes) -> Target:
    return Target(authority, form, picture)


def page_tree_loop(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Pages.Kids.append(pdf.Root.Pages)


def page_twice_removed(pdf: pikepdf.Pdf) -> None:
    middle = pdf.make_indirect(Dictionary(Type=Name.Pages, Count=1, Kids=[]))
    middle.Kids = Array([pdf.Root.Pages])
    pdf.Root.Pages.Kids.append(middle)


def outline_loop(pdf: pikepdf.Pdf) -> None:
    first = pdf.make_indirect(Dictionary(Title=String("a")))
    second = pdf.make_indirect(Dictionary(Title=String("b"), Next=first))
    first.Next = second
    pdf.Root.Outlines = Dictionary(First=first, Last=second)


def name_tree_loop(pdf: pikepdf.Pdf) -> None:
    tree = pdf.make_indirect(Dictionary(Kids=[]))
    tree.Kids = Array([tree])
    pdf.Root.Names = Dictionary(Dests=tree)


def form_loop(pdf: pikepdf.Pdf) -> None:
    one = Stream(pdf, b"/Fm1 Do", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    two = Stream(pdf, b"/Fm0 Do", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
    one.Resources = Dictionary(XObject=Dictionary(Fm1=pdf.make_indirect(two)))
    two.Resources = Dictionary(XObject=Dictionary(Fm0=pdf.make_indirect(one)))
    pdf.pages[0].Resources.XObject = Dictionary(Fm0=one)


def form_tower(pdf: pikepdf.Pdf) -> None:
    inner = pdf.make_indirect(Stream(pdf, b"", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9]))
    for _ in range(60):
        outer = Stream(pdf, b"/F Do", Type=Name.XObject, Subtype=Name.Form, BBox=[0, 0, 9, 9])
        outer.Resources = Dictionary(XObject=Dictionary(F=inner))
        inner = pdf.make_indirect(outer)
    pdf.pages[0].Resources.XObject = Dictionary(F=inner)


def page_tower(pdf: pikepdf.Pdf) -> None:
    inner = pdf.pages[0].obj
    for _ in range(60):
        inner = pdf.make_indirect(Dictionary(Type=Name.Pages, Count=1, Kids=[inner]))
    pdf.Root.Pages.Kids = Array([inner])


def zero_size(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].MediaBox = [0, 0, 0, 100]


def endless_size(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].MediaBox = [0, 0, 10**9, 10**9]


def blown_up(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].obj["/UserUnit"] = 75_000


def no_unit(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].obj["/UserUnit"] = 0


def raw_stream(pdf: pikepdf.Pdf, data: bytes, **entries: object) -> None:
    """Hide a stream in the file, referred to by a key that nobody looks at."""
    stream = Stream(pdf, b"")
    stream.write(data, filter=entries.pop("Filter", None), decode_parms=entries.pop("DecodeParms", None))
    for key, value in entries.items():
        stream[f"/{key}"] = value
    pdf.pages[0].obj["/PieceInfo"] = Dictionary(X=pdf.make_indirect(stream))


def packed(size: int) -> bytes:
    """Return millions of zeros, packed (RFC 1950): the first million is, and said again and again."""
    engine = zlib.compressobj(9, wbits=-15)
    again = engine.compress(bytes(1_000_000)) + engine.flush(zlib.Z_FULL_FLUSH)
    checksum = size % 65521 << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + again * (size // 1_000_000) + b"\x03\x00" + checksum.to_bytes(4)


def unused_bomb(pdf: pikepdf.Pdf) -> None:
    raw_stream(pdf, packed(300_000_000), Filter=Name.FlateDecode)


def bomb_in_bomb(pdf: pikepdf.Pdf) -> None:
    twice = zlib.compress(packed(900_000_000), 9)
    raw_stream(pdf, twice, Filter=Array([Name.FlateDecode] * 2), DecodeParms=Array([None, None]))


def five_filters(pdf: pikepdf.Pdf) -> None:
    raw_stream(pdf, b"41>", Filter=Array([Name.ASCIIHexDecode] * 5), DecodeParms=Array([None] * 5))


def endless_rows(pdf: pikepdf.Pdf) -> None:
    parameters = Dictionary(Predictor=15, Columns=2**31 - 1, Colors=4)
    raw_stream(pdf, zlib.compress(b"x"), Filter=Name.FlateDecode, DecodeParms=parameters)


def huge_jpeg_2000(pdf: pikepdf.Pdf) -> None:
    header = b"\xff\x4f\xff\x51" + bytes(4) + (200_000).to_bytes(4) * 2
    raw_stream(pdf, header, Filter=Name.JPXDecode, Subtype=Name.Image, Width=1, Height=1)


def huge_jbig2(pdf: pikepdf.Pdf) -> None:
    segment = bytes(4) + bytes([48, 0, 1]) + (19).to_bytes(4) + (200_000).to_bytes(4) * 2 + bytes(20)
    raw_stream(pdf, segment, Filter=Name.JBIG2Decode, Subtype=Name.Image, Width=1, Height=1)


def huge_picture(pdf: pikepdf.Pdf) -> None:
    raw_stream(pdf, b"x", Subtype=Name.Image, Width=100_000, Height=100_000)


def catalogue_triggers(pdf: pikepdf.Pdf) -> None:
    pdf.Root.AA = Dictionary(WC=Dictionary(S=Name.Named, N=Name.NextPage))


def script_by_name(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=[String("a"), SCRIPT]))


def script_hidden_in_an_array(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].obj["/PieceInfo"] = Array([Array([Dictionary(X=SCRIPT)])])


def launch(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OpenAction = Dictionary(S=Name.Launch, F=String("cmd.exe"))


def form_sent(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Outlines = Dictionary(A=Dictionary(S=Name.SubmitForm, F=String("http://x")))


def xfa(pdf: pikepdf.Pdf) -> None:
    form = pdf.Root.get("/AcroForm") or Dictionary(Fields=Array())
    form["/XFA"] = String("<xdp/>")
    pdf.Root.AcroForm = form


def film(pdf: pikepdf.Pdf) -> None:
    pdf.pages[0].obj["/PieceInfo"] = Dictionary(Type=Name.Annot, Subtype=Name.RichMedia)


def attachment(pdf: pikepdf.Pdf) -> None:
    pdf.attachments["a.txt"] = b"x"


def portfolio(pdf: pikepdf.Pdf) -> None:
    pdf.Root.Collection = Dictionary(Type=Name.Collection)


def layers(pdf: pikepdf.Pdf) -> None:
    pdf.Root.OCProperties = Dictionary(OCGs=Array())


HOSTILE: dict[str, list[Callable[[pikepdf.Pdf], None]]] = {
    "loop": [page_tree_loop, page_twice_removed, outline_loop, name_tree_loop, form_loop],
    "nesting": [form_tower, page_tower],
    "page-size": [zero_size, no_unit, endless_size],
    "too-large": [blown_up, huge_jpeg_2000, huge_jbig2, huge_picture],
    "bomb": [unused_bomb, bomb_in_bomb, five_filters, endless_rows],
    "action": [catalogue_triggers, launch, form_sent],
    "javascript": [script_by_name, script_hidden_in_an_array],
    "xfa": [xfa],
    "media": [film],
    "attachment": [attachment],
    "portfolio": [portfolio],
    "layers": [layers],
}
CASES = [(code, change) for code, changes in HOSTILE.items() for change in changes]


def changed(content: bytes, change: Callable[[pikepdf.Pdf], None]) -> bytes:
    with pikepdf.open(io.BytesIO(content)) as pdf:
        change(pdf)
        out = io.BytesIO()
        # As it was made: saving would unpack a bomb, and pack it anew in another way.
        pdf.save(out, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
    return out.getvalue()


@pytest.mark.parametrize(("code", "change"), CASES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_hostile_scan_is_refused_in_its_child(
    making: ModuleType, code: str, change: Callable[[pikepdf.Pdf], None]
) -> None:
    bad = changed(making.saved(making.scan()), change)
    with pytest.raises(Unfit) as refusal:
        read_scans([("a.pdf", bad)])
    assert refusal.value.code == code, refusal.value.message


@pytest.mark.parametrize(("code", "change"), CASES, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_hostile_signed_result_is_refused(
    target: Target, code: str, change: Callable[[pikepdf.Pdf], None]
) -> None:
    prepare_libraries(Limits())
    with pytest.raises(Unfit) as refusal:
        screen_signed("a.pdf", changed(target.twice, change))
    assert refusal.value.code == code, refusal.value.message


def test_a_signed_result_passes_and_so_does_one_with_links(target: Target) -> None:
    def link(pdf: pikepdf.Pdf) -> None:
        address = Dictionary(S=Name.URI, URI=String("https://dichvucong.gov.vn"))
        note = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], A=address)
        pdf.pages[0].Annots.append(pdf.make_indirect(note))

    for pdf in (target.once, target.twice, target.lta, changed(target.twice, link)):
        screen_signed("a.pdf", pdf)


def test_a_result_with_notes_values_or_without_signature_is_refused(target: Target) -> None:
    def value(pdf: pikepdf.Pdf) -> None:
        pdf.Root.AcroForm.Fields.append(pdf.make_indirect(Dictionary(FT=Name.Tx, T=String("a"))))

    def note(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].Annots.append(pdf.make_indirect(Dictionary(Subtype=Name.Stamp, Rect=[0, 0, 9, 9])))

    for pdf, code in (
        (changed(target.twice, value), "form"),
        (changed(target.twice, note), "form"),
        (target.form, "unsigned"),
        (target.twice[:-100], "truncated"),
    ):
        with pytest.raises(Unfit) as refusal:
            screen_signed("a.pdf", pdf)
        assert refusal.value.code == code


def test_tables_that_run_in_circles_are_refused(target: Target) -> None:
    from tests.attacks import structure

    for attack in (structure.loop, structure.loop_of_two):
        with pytest.raises(Unfit) as refusal:
            screen_signed("a.pdf", attack(target))
        assert refusal.value.code in ("loop", "truncated")


def test_arrays_without_end_are_refused(making: ModuleType) -> None:
    content = making.saved(making.scan())
    deep = content.replace(
        b"/Type /Catalog", b"/X " + b"[" * 100_000 + b"]" * 100_000 + b" /Type /Catalog", 1
    )
    assert deep != content
    with pytest.raises(Unfit) as refusal:
        read_scans([("a.pdf", deep)])
    assert refusal.value.code in ("nesting", "truncated", "too-complex")


def test_the_number_of_objects_is_limited(making: ModuleType) -> None:
    with pytest.raises(Unfit) as refusal:
        read_scans([("a.pdf", making.saved(making.scan()))], limits=Limits(objects=3))
    assert refusal.value.code == "too-many-objects"


def test_the_child_has_no_network_no_environment_and_cannot_be_kept_alive() -> None:
    program = (
        "import json, os, socket, sys\n"
        "from infra.pdf.confined import Cost, confine\n"
        "from dataclasses import asdict\n"
        "confine(asdict(Cost()))\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', 9), timeout=2); net = 'yes'\n"
        "except ConnectionRefusedError: net = 'yes'\n"
        "except OSError: net = 'no'\n"
        "import resource\n"
        "print(net, resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    net, memory, core = done.stdout.split()
    assert 2_000_000_000 < int(memory) < 3_000_000_000, "what the program has already, and 2 GB for the file"
    assert core == "0"
    if net == "yes":
        pytest.skip("this machine gives ordinary users no namespaces, so the child keeps a network")


def test_a_child_that_does_not_end_is_killed() -> None:
    from infra.pdf.confined import TooCostly

    with pytest.raises(TooCostly), asking("this_module_sleeps", {}, [], cost=Cost(wall_seconds=0.0)):
        pass


def test_every_refusal_has_a_reason_a_rule_and_a_way_out() -> None:
    for code, one in REFUSALS.items():
        assert code == code.lower()
        assert one.why
        assert one.rule
        assert one.way_out.endswith(".")
