"""How long a package is kept, under which keys, and what its metadata says (ARC-02 to ARC-07)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.clock import HANOI
from infra.history import Json

#: “For ever” as a store can promise it; the lock of permanent packages is renewed before it ends.
_FOR_EVER_YEARS = 100


def retain_until(ended: datetime, years: int | None) -> datetime:
    """
    Return the last moment of the retention: the end of the year the work ended in, plus `years` (ARC-03, ARC-04).

    >>> retain_until(datetime.fromisoformat("2026-11-23T10:00:00+07:00"), 20).isoformat()
    '2046-12-31T16:59:59+00:00'
    """
    last_year = ended.astimezone(HANOI).year + (years if years is not None else _FOR_EVER_YEARS)
    return datetime(last_year, 12, 31, 23, 59, 59, tzinfo=HANOI).astimezone(UTC)


def share_of(total: int, days: int) -> int:
    """
    Return how much is read in a night so that all of `total` is read well within so many days.

    Half more than an equal share, so that nights that were missed are made up for.

    >>> share_of(9000, 90), share_of(1, 90), share_of(0, 90), share_of(500, 0)
    (150, 1, 0, 500)
    """
    return -(-total * 3 // (2 * days)) if days > 1 else total


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One object version of the archive as it was written down."""

    key: str
    version: str
    sha256: str
    size: int  # bytes
    mode: str
    retain_until: datetime
    held: bool
    dossier: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The same version as the store has it now; one that is gone has no hash."""

    sha256: str
    size: int  # bytes
    mode: str
    retain_until: datetime | None
    held: bool
    newest: bool


def differences(one: Expected, now: Compared) -> list[tuple[str, str, str]]:
    """
    Return what is wrong with an object: in a word, what was expected, what was found.

    `missing`, `changed` (other bytes), `covered` (something lies on top of it, so that a reader of the bare key gets
    that), `unlocked` (a weaker or a shorter lock), `let go` (held by us, and not by the store).
    """
    if not now.sha256:
        return [("missing", one.sha256, "nothing")]
    found = []
    if (now.sha256, now.size) != (one.sha256, one.size):
        found.append(("changed", f"{one.sha256} ({one.size} bytes)", f"{now.sha256} ({now.size} bytes)"))
    if not now.newest:
        found.append(("covered", one.version, "another version on top"))
    if now.mode != one.mode or now.retain_until is None or now.retain_until < one.retain_until:
        said = f"{now.mode or 'no lock'} {now.retain_until.isoformat() if now.retain_until else ''}".strip()
        found.append(("unlocked", f"{one.mode} {one.retain_until.isoformat()}", said))
    if one.held and not now.held:
        found.append(("let go", "a legal hold", "none"))
    return found


def package_id(code: str) -> str:
    """Return the OCFL id of a dossier's package."""
    return f"urn:hoso:{code}"


def renewal_id(code: str, ordinal: int, position: int) -> str:
    """Return the OCFL id of the package of a document that was renewed after its dossier was archived."""
    return f"{package_id(code)}:renewal:{ordinal}-{position}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the metadata says of one document (ARC-07)."""

    ordinal: int
    title: str
    number: str | None
    pages: int
    sha256: str
    issued_on: str
    standing: str


def metadata(
    *,
    code: str,
    title: str,
    office: str,
    office_name: str,
    applicant: str,
    opened: datetime,
    ended: datetime,
    retention_years: int | None,
    retention_rule: str,
    records: Sequence[Record],
    publication: str,
    digitised: bool,
    of_record: Mapping[str, Json],
    of_document: Mapping[str, Json],
) -> Mapping[str, Json]:
    """
    Return a package's metadata in the terms of TT 05/2025/TT-BNV for records and documents (ARC-06, ARC-07).

    `of_record` and `of_document` are what the installation says besides; what is known here is said as it is.
    """
    trust = "02 số hóa" if digitised else "01 gốc điện tử"
    pages = sum(record.pages for record in records)
    return {
        **of_record,
        "schema": "TT 05/2025/TT-BNV",
        "maHoSo": code,
        "tieuDe": title,
        "thoiHanLuuTru": "vĩnh viễn" if retention_years is None else f"{retention_years} năm",
        "canCuThoiHan": retention_rule,
        "mucDoTiepCan": "hạn chế" if publication == "never" else "công khai",
        "ngonNgu": "vi",
        "thoiGianBatDau": opened.astimezone(HANOI).isoformat(timespec="seconds"),
        "thoiGianKetThuc": ended.astimezone(HANOI).isoformat(timespec="seconds"),
        "tongSoTaiLieu": len(records),
        "soLuongTrang": pages,
        # A page of a scan is a sheet of paper as far as anybody counted.
        "soLuongTo": pages if digitised else None,
        "coQuan": {"maDinhDanh": office, "ten": office_name},
        "nguoiYeuCau": applicant,
        "mucDoTinCay": trust,
        "taiLieu": [
            {
                **of_document,
                "maHoSo": code,
                "coQuanBanHanh": office_name,
                "ngonNgu": "vi",
                "mucDoTinCay": trust,
                "soThuTu": record.ordinal,
                "trichYeu": record.title,
                "soKyHieu": record.number,
                "ngay": record.issued_on,
                "soTrang": record.pages,
                "sha256": record.sha256,
                "tinhTrang": record.standing,
            }
            for record in records
        ],
    }
