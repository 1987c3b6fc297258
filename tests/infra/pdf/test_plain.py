"""The quick proof takes what is signed here, and nothing that pyHanko would not take."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, DiffResult, ModificationLevel
from pyhanko.sign.fields import MDPPerm

from infra.errors import Broken
from infra.pdf.checking import check_signed
from infra.pdf.increment import _ONE_SIGNATURE
from infra.pdf.plain import PlainFirst, plainly_signed
from tests.attacks import ATTACKS, Attack, Target
from tests.infra.pdf.test_checking import CHANGES, MORNING, appended, lost_flags, sign, smuggled, token_for

if TYPE_CHECKING:
    from tests.conftest import Authority


@pytest.fixture(scope="module")
def target(authority: Authority, form: bytes, picture: bytes) -> Target:
    return Target(authority, form, picture)


def read(pdf: bytes) -> PdfFileReader:
    return PdfFileReader(io.BytesIO(pdf))


def judged(pdf: bytes) -> list[str | None]:
    """Return what the quick proof says of each revision after the first one."""
    reader = read(pdf)
    return [
        plainly_signed(reader, one, after=end_of(reader, one - 1)) for one in range(1, reader.total_revisions)
    ]


def end_of(reader: PdfFileReader, revision: int) -> int:
    """Return how many bytes a revision has: it ends with the words that say where its table is."""
    reader.stream.seek(0)
    pdf = reader.stream.read()
    said = b"startxref\n%d\n%%%%EOF\n" % reader.xrefs.get_startxref_for_revision(revision)
    return pdf.find(said) + len(said)


def test_what_is_signed_here_is_proved_the_quick_way(target: Target) -> None:
    assert judged(target.once)[-1:] == ["official"]
    assert judged(target.twice)[-2:] == ["official", "seal"]


def test_a_document_that_was_proved_is_let_go(target: Target) -> None:
    reader = read(target.once)
    last = reader.total_revisions - 1
    assert plainly_signed(reader, last, after=end_of(reader, last - 1)) == "official"
    seen = weakref.ref(reader)
    del reader
    gc.collect()
    assert seen() is None


def test_no_attack_is_proved_the_quick_way_unless_pyhanko_takes_it_too(target: Target) -> None:
    taken = 0
    for attack in ATTACKS:
        for reader, revision in _readable(attack, target):
            if plainly_signed(reader, revision, after=end_of(reader, revision - 1)) is None:
                continue
            taken += 1
            old, new = (reader.get_historical_resolver(one) for one in (revision - 1, revision))
            result = _ONE_SIGNATURE.apply(old, new, doc_mdp=MDPPerm.FILL_FORMS)
            assert result.modification_level <= ModificationLevel.FORM_FILLING, attack.name
    assert taken


def _readable(attack: Attack, target: Target) -> list[tuple[PdfFileReader, int]]:
    """Return the revisions of an attacked document that can be read at all."""
    try:
        reader = read(attack.mutate(target))
        return [(reader, one) for one in range(1, reader.total_revisions)]
    except Exception:
        return []


def test_the_judgement_of_what_came_after_a_signature_is_pyhankos(target: Target) -> None:
    for pdf in (target.twice, target.lta, target.with_evidence):
        reader = read(pdf)
        for one in reader.embedded_regular_signatures:
            quick = PlainFirst().review_file(reader, one.signed_revision, doc_mdp=MDPPerm.FILL_FORMS)
            slow = DEFAULT_DIFF_POLICY.review_file(reader, one.signed_revision, doc_mdp=MDPPerm.FILL_FORMS)
            assert isinstance(quick, DiffResult)
            assert quick.modification_level == slow.modification_level
            assert quick.changed_form_fields == slow.changed_form_fields


def dangling(writer: IncrementalPdfFileWriter) -> None:
    """Let the page speak of an object that the document does not have, but that the next one written would be."""
    page = writer.root["/Pages"]["/Kids"][0]
    page[generic.pdf_name("/Contents")] = generic.IndirectObject(writer.trailer["/Size"] + 2, 0, writer)
    writer.update_container(page)


def test_an_object_that_the_document_spoke_of_before_it_was_there_is_no_plain_signature(
    target: Target, authority: Authority
) -> None:
    token = token_for(authority, "Trần Thị Bình")
    previous = appended(target.form, dangling)
    signed = sign(previous, "official", token, authority)
    assert judged(signed)[-1] is None
    with pytest.raises(Broken, match=r"changed|cannot be read"):
        check_signed(
            previous, signed, field="official", certificate=token.certificate, anchors=authority.anchors,
            chain=authority.chain, at=MORNING,
        )  # fmt: skip


def sleeping(writer: IncrementalPdfFileWriter) -> None:
    """Let an object sleep in a stream, as bytes that no table names yet."""
    sleeper = b"\n%d 0 obj\n<< /Type /XObject >>\nendobj\n" % (int(writer.trailer["/Size"]) + 3)
    writer.root["/Pages"]["/Kids"][0][generic.pdf_name("/Contents")] = writer.add_object(
        generic.StreamObject(stream_data=sleeper)
    )
    writer.update_container(writer.root["/Pages"]["/Kids"][0])


def test_a_table_that_wakes_an_object_in_the_older_bytes_makes_no_plain_signature(
    target: Target, authority: Authority
) -> None:
    previous = appended(target.form, sleeping)
    signed = sign(previous, "official", token_for(authority, "Trần Thị Bình"), authority)
    assert judged(signed)[-1] == "official"
    reader = read(signed)
    newest = reader.total_revisions - 1
    places = {ref.idnum: reader.xrefs[ref] for ref in reader.xrefs.explicit_refs_in_revision(newest)}
    slept = [number for number in places if b"\n%d 0 obj\n<< /Type /XObject" % number in previous]
    assert slept, "the object that slept has the number of a new one"
    asleep = previous.index(b"\n%d 0 obj" % slept[0]) + 1
    woken = signed.replace(b"%010d 00000 n" % places[slept[0]], b"%010d 00000 n" % asleep)
    assert woken != signed
    assert judged(woken)[-1] is None


def orphan(writer: IncrementalPdfFileWriter) -> None:
    writer.add_object(generic.StreamObject(stream_data=b"nobody speaks of me"))


def other_form(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/AcroForm"][generic.pdf_name("/NeedAppearances")] = generic.BooleanObject(True)
    writer.update_container(writer.root["/AcroForm"])


def other_trailer(writer: IncrementalPdfFileWriter) -> None:
    writer.set_custom_trailer_entry(generic.pdf_name("/Other"), generic.NumberObject(1))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("change", [None, *CHANGES, orphan, other_form, other_trailer])
def test_what_is_slipped_in_with_a_signature_is_not_plain(
    target: Target, authority: Authority, change: Callable[[IncrementalPdfFileWriter], None] | None
) -> None:
    signed = smuggled(target.form, "official", token_for(authority, "Trần Thị Bình"), authority, change)
    if change is lost_flags:
        # The flags are a signature's own to write, and are looked at apart from this.
        change = None
    assert judged(signed)[-1] == ("official" if change is None else None)
