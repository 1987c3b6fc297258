"""
Whether an increment holds one signature and nothing else.

pyHanko compares a document with what an earlier signature saw, so it does not look at what comes with
a document's first signature, and it lets later ones rewrite metadata or create fields. These rules
are stricter and hold for every signature that is made here.
"""

from __future__ import annotations

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


def check_increment(before: PdfFileReader, after: PdfFileReader, *, field: str) -> None:
    """
    Raise `Broken` unless `after` is `before` and one increment that signs `field` and does no more.

    The caller has seen that the bytes of `before` are the beginning of `after`.
    """
    revisions = before.xrefs.total_revisions
    if after.xrefs.total_revisions != revisions + 1:
        raise Broken("The signed document has another number of increments than one more.")
    old, new = after.get_historical_resolver(revisions - 1), after.get_historical_resolver(revisions)
    try:
        if plainly_signed(after, revisions) != field:
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
