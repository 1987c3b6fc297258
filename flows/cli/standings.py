"""What “hoso verify” says of a file's standing: by a list that is at hand, without network; else unknown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.clock import HANOI
from infra.errors import Broken
from infra.history.checkpoint import Verifier
from tasks.issued.standing_note import Line, StandingList, State, read_list

_VI = {
    "unknown": "Hiệu lực hiện nay: CHƯA BIẾT ({why}). Chữ ký hợp lệ không cho biết kết quả còn hiệu lực hay không.",
    "not-listed": "Hiệu lực hiện nay: CHƯA BIẾT; danh sách ngày {issued} không có tệp này.",
    "valid": "Còn hiệu lực theo danh sách ngày {issued}, có giá trị đến {next}.",
    "valid-then": "Còn hiệu lực vào {issued}; danh sách đã quá hạn từ {next}, hiệu lực hiện nay CHƯA BIẾT.",
    "withdrawn": "ĐÃ BỊ THU HỒI từ {since} (danh sách ngày {issued}).",
    "replaced": "ĐÃ ĐƯỢC THAY THẾ từ {since} bằng tệp có SHA-256 {by} (danh sách ngày {issued}).",
}
_EN = {
    "unknown": "Standing unknown ({why}). A good signature does not say whether the result still stands.",
    "not-listed": "Standing unknown: the list of {issued} does not have this file.",
    "valid": "Stands by the list of {issued}, which may be believed until {next}.",
    "valid-then": "Stood on {issued}; that list is old since {next}, so the standing today is unknown.",
    "withdrawn": "WITHDRAWN since {since} (list of {issued}).",
    "replaced": "REPLACED since {since} by the file with SHA-256 {by} (list of {issued}).",
}
_WHY = {
    "none": ("không có danh sách hiệu lực", "no standing list was given"),
    "no-key": (
        "không có khóa để kiểm tra chữ ký của danh sách",
        "there is no key to check the list's signature with",
    ),
    "not-signed": (
        "danh sách không do khóa tin cậy ký hoặc đã bị sửa",
        "the list is not signed by a key that is trusted, or was changed",
    ),
    "unreadable": ("không đọc được danh sách", "the list cannot be read"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """How one file stands: the state's code, and the same as a sentence in two languages."""

    #: `valid`, `valid-then`, `withdrawn`, `replaced`, `not-listed` or `unknown`.
    state: str
    vi: str
    en: str
    data: dict[str, Any]

    @property
    def stands(self) -> bool | None:
        """Whether it stands today; `None` where nobody can say."""
        return {"valid": True, "withdrawn": False, "replaced": False}.get(self.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standings:
    """The standing list at hand, or why there is none that can be believed."""

    known: StandingList | None
    why: str = "none"

    def of(self, content: bytes, at: datetime) -> Stands:
        """Return how a file stands at a moment."""
        if self.known is None:
            return _said("unknown", {"why": _WHY[self.why]}, {"why": self.why})
        listed, line = self.known, self.known.find(content)
        data = {
            "issued_at": listed.issued_at.isoformat(),
            "next_update": listed.next_update.isoformat(),
            "old": listed.is_old(at),
        }
        words = {"issued": _wall(listed.issued_at), "next": _wall(listed.next_update)}
        if line is None:
            return _said("not-listed", words, data)
        if line.state is State.VALID:
            return _said("valid-then" if listed.is_old(at) else "valid", words, data)
        return _ended(line, words, data)


def read_standings(file: Path | None, key: Path | None, anchors: Path | None) -> Standings:
    """
    Return the standing list in a file, if its signature is one that is trusted.

    The key is what “hoso history key” prints: in a file of its own, or as `*.key` among the anchors.
    """
    if file is None:
        return Standings(known=None)
    keys = [key] if key else sorted(anchors.glob("*.key")) if anchors else []
    try:
        note = file.read_text(encoding="utf-8")
        verifiers = [Verifier.parse(one.read_text(encoding="utf-8")) for one in keys]
    except (OSError, UnicodeDecodeError, Broken):
        return Standings(known=None, why="unreadable")
    if not verifiers:
        return Standings(known=None, why="no-key")
    for verifier in verifiers:
        try:
            return Standings(known=read_list(note, verifier))
        except Broken:
            continue
    return Standings(known=None, why="not-signed")


def exit_code(code: int, stands: list[Stands], *, asked: bool) -> int:
    """
    Return how the command ends: what stands no more is not valid, what nobody can say is undecided.

    Without a list only the signatures were asked about, and decide alone.
    """
    if any(one.stands is False for one in stands):
        return max(code, 1) if code != 3 else 1
    return 3 if asked and code == 0 and any(one.stands is None for one in stands) else code


def _ended(line: Line, words: dict[str, str], data: dict[str, Any]) -> Stands:
    """Return what is said of a file that stands no more; an old list says it as well as a new one."""
    since = _wall(line.since) if line.since else "?"
    data |= {"since": line.since.isoformat() if line.since else None, "replaced_by": line.replaced_by or None}
    return _said(line.state, {**words, "since": since, "by": line.replaced_by}, data)


def _said(state: str, words: dict[str, Any], data: dict[str, Any]) -> Stands:
    """Return a standing in words; what differs between the languages is a pair."""
    vi, en = (
        {name: value[place] if isinstance(value, tuple) else value for name, value in words.items()}
        for place in (0, 1)
    )
    return Stands(
        state=str(state),
        vi=_VI[state].format(**vi),
        en=_EN[state].format(**en),
        data={"state": str(state), **data},
    )


def _wall(moment: datetime) -> str:
    """Return a moment as clocks in Việt Nam show it."""
    return f"{moment.astimezone(HANOI):%Y-%m-%d %H:%M}"
