"""
Whether an increment holds one signature and nothing else.

pyHanko compares a document with what an earlier signature saw, so it does not look at what comes with
a document's first signature, and it lets later ones rewrite metadata or create fields. These rules
are stricter and hold for every signature that is made here.
"""

from __future__ import annotations

import io
import re

from pyhanko.pdf_utils.reader import HistoricalResolver, PdfFileReader
from pyhanko.sign.diff_analysis import (
    CatalogModificationRule,
    FormUpdatingRule,
    ModificationLevel,
    ObjectStreamRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    SuspiciousModification,
    XrefStreamRule,
)
from pyhanko.sign.fields import MDPPerm, enumerate_sig_fields

from infra.errors import Broken
from infra.pdf.plain import plainly_signed

#: /SigFlags after any signature: SignaturesExist and AppendOnly (ISO 32000-2 §12.7.3).
_SIGNED_AND_APPEND_ONLY = 3

#: What a PDF ends with: where its newest cross-reference table begins (ISO 32000-2 §7.5.5).
_LAST_TABLE = re.compile(
    rb"startxref[\x00\t\n\x0c\r ]+([0-9]{1,12})[\x00\t\n\x0c\r ]+%%EOF[\x00\t\n\x0c\r ]*\Z"
)
_TAIL = 1024

#: Metadata, new fields, evidence and forms are not among the rules, so any change to them is refused.
_ONE_SIGNATURE = StandardDiffPolicy(
    global_rules=[
        CatalogModificationRule(  # type: ignore[no-untyped-call]
            ignored_keys=frozenset({"/AcroForm", "/Extensions", "/Perms"})
        ),
        XrefStreamRule().as_qualified(ModificationLevel.LTA_UPDATES),
        ObjectStreamRule().as_qualified(ModificationLevel.LTA_UPDATES),
    ],
    form_rule=FormUpdatingRule(
        field_rules=[SigFieldModificationRule()],
        ignored_acroform_keys=frozenset({"/Fields", "/SigFlags"}),
    ),
    ignore_orphaned_objects=False,
)


def follows(previous: bytes, after: PdfFileReader) -> None:
    """
    Raise `Broken` unless `after` is `previous` and one increment.

    The caller has seen that the bytes of `previous` are its beginning. So if the newest increment names the
    cross-reference table that `previous` ends with as the one before its own, all that is older is the same.
    """
    newest = after.xrefs.total_revisions - 1
    ends = _LAST_TABLE.search(previous[-_TAIL:])
    if ends is not None and newest > 0 and after.xrefs.get_startxref_for_revision(newest - 1) == int(ends[1]):
        return
    if PdfFileReader(io.BytesIO(previous)).xrefs.total_revisions != newest:
        raise Broken("The signed document has another number of increments than one more.")


def check_increment(previous: bytes, after: PdfFileReader, *, field: str) -> None:
    """Raise `Broken` unless the newest increment of a document, behind `previous`, signs `field` and no more."""
    newest = after.xrefs.total_revisions - 1
    old, new = after.get_historical_resolver(newest - 1), after.get_historical_resolver(newest)
    try:
        if plainly_signed(after, newest, after=len(previous)) != field:
            _ONE_SIGNATURE.apply(old, new, doc_mdp=MDPPerm.FILL_FORMS)
    except SuspiciousModification as error:
        raise Broken(f"Something else than a signature was changed in the document: {error}") from error
    if new.root["/AcroForm"].get("/SigFlags") != _SIGNED_AND_APPEND_ONLY:
        raise Broken("The document does not say that it is signed and may only be appended to.")
    _check_permissions(old, new, field=field)


def _check_permissions(old: HistoricalResolver, new: HistoricalResolver, *, field: str) -> None:
    """Raise `Broken` if /Perms changed in another way than by a first, certifying signature in `field`."""
    was, now = old.root.get("/Perms"), new.root.get("/Perms")
    if was == now:
        return
    if was is None and now is not None and set(now) == {"/DocMDP"}:
        signatures = [
            ref.get_object().raw_get("/V") for _, _, ref in enumerate_sig_fields(new, with_name=field)
        ]
        if [one.reference for one in signatures] == [now.raw_get("/DocMDP").reference]:
            return
    raise Broken("The permissions of the document were changed.")
