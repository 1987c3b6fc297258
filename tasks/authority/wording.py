"""How a signature block names the capacity, line by line, and what may not stand before a name (AUTH-02, AUTH-07)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

#: What the first line of a block says, by capacity; an office may word it otherwise.
LINES = {
    "TM.": "TM. {collective}",
    "KT.": "KT. {head}",
    "TL.": "TL. {head}",
    "TUQ.": "TUQ. {head}",
    "Q.": "Q. {title}",
}

#: Sectors in which titles stand before names (AUTH-07).
SECTORS_WITH_TITLES = ("armed-forces", "education", "health", "science")

_HONOURS = re.compile(
    r"^(GS|PGS|TS|TSKH|ThS|CN|KS|BS|LS|NGND|NGƯT|NSND|NSƯT|Giáo sư|Phó Giáo sư|Tiến sĩ|Tiến sỹ|Thạc sĩ|Thạc sỹ"
    r"|Cử nhân|Kỹ sư|Bác sĩ|Bác sỹ|Luật sư|Nhà giáo|Nghệ sĩ)([.\s]|$)",
    re.IGNORECASE,
)


def first_line(capacity: str, words: Mapping[str, str], **known: str) -> str:
    """
    Return the line that a capacity adds to a block, in capitals; `words` are the office's own.

    >>> first_line("KT.", {}, head="Chủ tịch")
    'KT. CHỦ TỊCH'
    >>> first_line("TUQ.", {"TUQ.": "TUQ. {head} ỦY BAN NHÂN DÂN XÃ"}, head="Chủ tịch")
    'TUQ. CHỦ TỊCH ỦY BAN NHÂN DÂN XÃ'
    """
    return words.get(capacity, LINES[capacity]).format(
        **{name: value.upper() for name, value in known.items()}
    )


def honour_before(name: str) -> str:
    """
    Return the title or honour that stands before a name, or nothing (AUTH-07).

    >>> honour_before("PGS.TS Nguyễn Văn A"), honour_before("Tiến sĩ Trần B")
    ('PGS', 'Tiến sĩ')
    >>> honour_before("Tiến Sơn Hà"), honour_before("Hoàng Thị Thu Hà"), honour_before("Ks Lê")
    ('', '', 'Ks')
    """
    found = _HONOURS.match(unicodedata.normalize("NFC", name.strip()))
    return found.group(1) if found else ""
