"""Every equality that must hold, in a sentence, and what a person may start when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Repair(StrEnum):
    """What mends a gap; nothing of it is ever started by itself."""

    CARRY = "carry"  # the dossier is carried on, which does what is left to do
    CERTIFY = "certify"  # the reserved number of an issued result is certified
    VOID = "void"  # the reserved number of what nobody will certify is void
    PUBLISH = "publish"  # number, hash and standing are published
    CORRECT_PUBLICATION = "correct-publication"  # what is published says what is true
    TAKE_DOWN = "take-down"  # what must not be public is not
    ARCHIVE = "archive"  # the archive is asked for
    RESEND = "resend"  # the result is sent once more
    RESTORE_FILE = "restore-file"  # the file is fetched from the package in the archive
    BY_HAND = "by-hand"  # the program must not mend it: what is missing has to be found


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One kind of finding: what is not the same, and what mends it."""

    sentence: str
    repair: Repair
    #: For what has to be mended by hand: how.
    how: str = ""


_RESTORE = (
    "Stop what writes, compare with the newest backup and the checkpoints in the archive, restore if need be."
)

FINDINGS: Mapping[str, Gap] = {
    "number-not-certified": Gap(
        sentence="a result was issued and its number is only reserved", repair=Repair.CERTIFY
    ),
    "number-missing": Gap(
        sentence="a result was issued without a line in the register", repair=Repair.BY_HAND, how=_RESTORE
    ),
    "number-without-result": Gap(
        sentence="a number is certified and no result was issued under it",
        repair=Repair.BY_HAND,
        how=_RESTORE,
    ),
    "number-left-open": Gap(
        sentence="a number is reserved for an original that nobody will certify", repair=Repair.VOID
    ),
    "number-gap": Gap(
        sentence="the register does not hold every number up to its last one",
        repair=Repair.BY_HAND,
        how=_RESTORE,
    ),
    "signature-missing": Gap(
        sentence="a result was issued without every signature of its route",
        repair=Repair.BY_HAND,
        how="Withdraw the result (hoso withdraw-result) and correct it; find out how it was released.",
    ),
    "document-missing": Gap(
        sentence="a result was issued and has no document", repair=Repair.BY_HAND, how=_RESTORE
    ),
    "file-lost": Gap(
        sentence="the file of an issued result is not in the work store", repair=Repair.RESTORE_FILE
    ),
    "not-validated": Gap(sentence="a document is sealed for hours and was not released", repair=Repair.CARRY),
    "not-returned": Gap(
        sentence="every leg has ended well and the dossier is not returned", repair=Repair.CARRY
    ),
    "returned-to-nobody": Gap(
        sentence="the dossier counts as returned and its result reached nobody", repair=Repair.RESEND
    ),
    "not-archived": Gap(
        sentence="a returned dossier has waited for the archive for days", repair=Repair.ARCHIVE
    ),
    "archived-without-package": Gap(
        sentence="the dossier counts as archived and no package is written down",
        repair=Repair.BY_HAND,
        how=_RESTORE,
    ),
    "archive-object-lost": Gap(
        sentence="the archive does not list an object that was written and locked",
        repair=Repair.BY_HAND,
        how="Restore it from the store's second copy; nobody may delete what is locked, so ask who could.",
    ),
    "not-published": Gap(sentence="a result that is to be public is not published", repair=Repair.PUBLISH),
    "published-wrongly": Gap(sentence="a result is public that must not be", repair=Repair.TAKE_DOWN),
    "publication-differs": Gap(
        sentence="what is published is not what stands", repair=Repair.CORRECT_PUBLICATION
    ),
    "standing-not-listed": Gap(
        sentence="a result stands no more and the newest standing list does not say so", repair=Repair.CARRY
    ),
    "correction-not-settled": Gap(
        sentence="a corrected result is released and has not replaced the old one", repair=Repair.CARRY
    ),
    "stage-not-logged": Gap(
        sentence="the dossier stands elsewhere than its history says", repair=Repair.BY_HAND, how=_RESTORE
    ),
    "event-not-logged": Gap(
        sentence="something was done that the history does not tell", repair=Repair.BY_HAND, how=_RESTORE
    ),
    "event-without-row": Gap(
        sentence="the history tells of something that is not there", repair=Repair.BY_HAND, how=_RESTORE
    ),
}
