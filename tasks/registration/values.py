"""What one value of a registration list may be, by the type of its column: text in, the kept value or `Unfit` out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from infra.sheets.cells import Cell
from infra.sheets.reading import computes
from tasks.registration.form_sets import Choice, FormColumn, FormSet, IdentityForm

_LONGEST = 250
_TITLES = re.compile(r"(?i)^(gs|pgs|ts|ths|th\.s|bs|ks|cn|ls|ông|bà|đ/c|đc)\.|^(ông|bà|đồng chí|đ/c) ")
_MAILBOX = re.compile(
    r"[a-z0-9]([a-z0-9._+-]{0,62}[a-z0-9])?@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}"
)
_UNIT_CODE = re.compile(r"\d{3}\.\d{2}\.\d{2}\.[A-Z]\d{2}|[A-Z]\d{2}(\.[0-9A-Z]+)*")


class Unfit(Exception):
    """What is wrong with one value: the code of a reason, and what its sentence names."""

    def __init__(self, code: str, **values: object) -> None:
        """Say what is wrong."""
        self.code, self.values = code, values
        super().__init__(code)


def folded(text: str) -> str:
    """
    Return a heading or a choice as it is compared: without accents, case, marks and double spaces.

    >>> folded("Số CMND/CCCD:") == folded("SO CMND - CCCD")
    True
    """
    plain = unicodedata.normalize("NFD", text.casefold().replace("đ", "d"))
    plain = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(plain.split())


def read_value(cell: Cell, column: FormColumn, form_set: FormSet, today: date, domains: Sequence[str]) -> str:
    """Return what a cell says, by the type of its column; raises `Unfit`."""
    text = cell.text
    if cell.typed in ("formula", "error"):
        raise Unfit("formula" if cell.typed == "formula" else "error-cell")
    if column.type != "telephone" and computes(text):
        raise Unfit("formula")
    if not text:
        if column.required:
            raise Unfit("missing")
        return ""
    if len(text) > _LONGEST:
        raise Unfit("too-long", most=_LONGEST)
    if column.type == "identity":
        return identity_number(text, form_set.identity, typed_as_number=cell.typed == "number")
    if column.type == "mailbox":
        return official_mailbox(text, domains)
    if column.type in ("birthday", "past"):
        return past_date(text, today, grown_up=column.type == "birthday")
    if column.type == "choice":
        return choice(text, column.choices)
    return _SIMPLE[column.type](text)


def printable(text: str) -> str:
    """
    Return text that every paper can show; raises `Unfit`.

    >>> printable("Phó Trưởng phòng – Tư pháp")
    'Phó Trưởng phòng – Tư pháp'
    """
    odd = sorted({c for c in text if not (" " <= c <= "ž" and c != "\x7f" and not "\x80" <= c <= "\x9f")
                  and c not in "ƠơƯư₫–—‘’“”…" and not "Ạ" <= c <= "ỹ"})  # fmt: skip
    if odd:
        raise Unfit("letters", what=" ".join(f"U+{ord(c):04X}" for c in odd[:5]))
    return text


def full_name(text: str) -> str:
    """
    Return a person's name; raises `Unfit` for one word, a title, digits or marks (AUTH-07).

    >>> full_name("Nguyễn Văn A")
    'Nguyễn Văn A'
    """
    printable(text)
    if _TITLES.search(text):
        raise Unfit("title")
    if len(text.split()) < 2 or not all(c.isalpha() or c in " '’-." for c in text):
        raise Unfit("not-a-name")
    return text


def past_date(text: str, today: date, *, grown_up: bool = False) -> str:
    """
    Return a day that is over as ISO 8601; `grown_up` asks for an age from 18 to 100 years. Raises `Unfit`.

    >>> past_date("5/3/1980", date(2026, 11, 22))
    '1980-03-05'
    """
    day = read_date(text)
    if day > today:
        raise Unfit("future")
    age = today.year - day.year - ((today.month, today.day) < (day.month, day.day))
    if grown_up and not 18 <= age <= 100:
        raise Unfit("age", age=age)
    return day.isoformat()


def read_date(text: str) -> date:
    """
    Return the day that a text names: day, month and year in this order, or ISO 8601; raises `Unfit`.

    >>> read_date("16 tháng 08 năm 2017"), read_date("16.8.2017"), read_date("2017-08-16") == read_date("16/08/2017")
    (datetime.date(2017, 8, 16), datetime.date(2017, 8, 16), True)
    """
    text = text.removeprefix("ngày ").removeprefix("Ngày ")
    if found := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?:[T ]00:00(?::00)?)?", text, re.ASCII):
        year, month, day = found.groups()
    elif found := re.fullmatch(r"(\d{1,2})(?:[./-]| tháng )(\d{1,2})(?:[./-]| năm )(\d{4})", text, re.ASCII):
        day, month, year = found.groups()
    else:
        raise Unfit("not-a-date")
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        raise Unfit("not-a-date") from None


def identity_number(text: str, form: IdentityForm, *, typed_as_number: bool = False) -> str:
    r"""
    Return an identity number without the spaces and dots that people put into it; raises `Unfit` (CER-14).

    >>> identity_number("022 080 000 001", IdentityForm(pattern=r"\d{12}", text="", vi=""))
    '022080000001'
    """
    bare = re.sub(r"[ .]", "", text).upper()
    if re.fullmatch(form.pattern, bare, re.ASCII):
        return bare
    if typed_as_number and re.fullmatch(form.pattern, "0" + bare, re.ASCII):
        raise Unfit("lost-zero")
    raise Unfit("identity", form=form.text, form_vi=form.vi)


def official_mailbox(text: str, domains: Sequence[str]) -> str:
    """
    Return an e-mail address at one of the official domains, in small letters; raises `Unfit` (CER-14).

    >>> official_mailbox("An.Nguyen@VanPhong.QuangNinh.gov.vn", ["gov.vn"])
    'an.nguyen@vanphong.quangninh.gov.vn'
    """
    address = text.lower().removeprefix("mailto:")
    if not _MAILBOX.fullmatch(address) or ".." in address:
        raise Unfit("mailbox")
    at = address.rpartition("@")[2]
    if not any(at == domain or at.endswith(f".{domain}") for domain in domains):
        raise Unfit("domain", domains=", ".join(domains))
    return address


def telephone(text: str) -> str:
    """
    Return a Vietnamese number in its national form; raises `Unfit`.

    >>> telephone("+84 912 345 678"), telephone("0912.345.678"), telephone("0203 3825 111")
    ('0912345678', '0912345678', '02033825111')
    """
    bare = re.sub(r"[ .()-]", "", text)
    bare = re.sub(r"^(\+84|0084|84(?=\d{9}$))", "0", bare)
    if not re.fullmatch(r"0[35789]\d{8}|02\d{8,9}", bare, re.ASCII):
        raise Unfit("telephone")
    return bare


def serial_number(text: str) -> str:
    """
    Return a certificate's serial number in small hexadecimal digits without colons and leading zeros.

    >>> serial_number("0A:1B 2C")
    'a1b2c'
    """
    bare = re.sub(r"[: ]", "", text.lower()).removeprefix("0x").lstrip("0")
    if not re.fullmatch(r"[0-9a-f]{1,40}", bare, re.ASCII):
        raise Unfit("serial")
    return bare


def _sim(text: str) -> str:
    """Return the number of a SIM card: its own, or the subscriber's."""
    bare = re.sub(r"[ .]", "", text)
    if re.fullmatch(r"\d{18,20}", bare, re.ASCII):
        return bare
    try:
        return telephone(bare)
    except Unfit:
        raise Unfit("sim") from None


def _unit_code(text: str) -> str:
    """Return the identification code of an agency (QĐ 20/2020/QĐ-TTg)."""
    if not _UNIT_CODE.fullmatch(text.upper()) or len(text) > 35:
        raise Unfit("unit-code")
    return text.upper()


def choice(text: str, choices: Mapping[str, Choice]) -> str:
    """Return the printed text of the choice that is meant, however it was written; raises `Unfit` (AUTH-04)."""
    for code, one in choices.items():
        if folded(text) in map(folded, (code, one.text, *one.also)):
            return one.text
    raise Unfit("choice", choices="; ".join(one.text for one in choices.values()))


_SIMPLE: Mapping[str, Callable[[str], str]] = {
    "text": printable,
    "name": full_name,
    "telephone": telephone,
    "serial": serial_number,
    "sim": _sim,
    "unit-code": _unit_code,
}


def birth_year(card: str) -> int:
    """
    Return the year of birth that a citizen's identity number tells: digit 4 the century, 5 and 6 the year.

    >>> birth_year("022080000001"), birth_year("022301000001")
    (1980, 2001)
    """
    return 1900 + 100 * (int(card[3]) // 2) + int(card[4:6])
