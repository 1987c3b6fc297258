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
) -> Mapping[str, Json]:
    """Return a package's metadata in the terms of TT 05/2025/TT-BNV for records and documents (ARC-06, ARC-07)."""
    return {
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
        "soLuongTrang": sum(record.pages for record in records),
        "coQuan": {"maDinhDanh": office, "ten": office_name},
        "nguoiYeuCau": applicant,
        "mucDoTinCay": "02 số hóa" if digitised else "01 gốc điện tử",
        "taiLieu": [
            {
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
