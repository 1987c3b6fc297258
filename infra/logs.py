"""
Logs as lines of text for people, or of JSON for programs that collect them (`HOSO_LOG_FORMAT`).

A line of JSON says when, how grave, by which part of the program, and what; and where they are known the dossier's
code, the step, and the position of an entry of the history (`event_id`). It holds nothing personal: of an error that
is not ours only its kind and where it was raised, of another library's words only those that stand in its code.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from infra.errors import HosoError
from infra.settings import Settings

_ROOT = Path(__file__).resolve().parents[1]
_TEXT = "%(asctime)s %(name)s %(levelname)s %(message)s"

#: What the lines of this thread or task are about.
_about: ContextVar[Mapping[str, object] | None] = ContextVar("about", default=None)
#: What a line may say of what it is about; anything else that somebody attaches is left out.
_SAID = ("dossier", "step", "event_id")


@contextmanager
def about(**said: object) -> Iterator[None]:
    """Let every line within a `with` block name a dossier or a step (`dossier=`, `step=`)."""
    token = _about.set({**(_about.get() or {}), **said})
    try:
        yield
    finally:
        _about.reset(token)


def begin(chosen: Settings) -> None:
    """Write the logs of this process to standard error as the settings say; the last call holds."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if chosen.log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("hoso").setLevel(logging.INFO)
    for noisy in ("httpx", "httpcore", "prefect"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class JsonLines(logging.Formatter):
    """Writes each record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line; what may be personal is not in it."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "said": _words(record),
        }
        known = {**(_about.get() or {}), **record.__dict__}
        line |= {name: known[name] for name in _SAID if known.get(name) is not None}
        if record.exc_info and record.exc_info[1] is not None:
            line |= _error(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def _words(record: logging.LogRecord) -> str:
    """Return what a record says: our own words with what was put in, another library's as they stand in its code."""
    if record.name == "hoso" or record.name.startswith("hoso."):
        return record.getMessage()
    # Without arguments nobody knows whether the words were put together from what people told us.
    return str(record.msg) if record.args else "(another library's words are not shown)"


def _error(error: BaseException) -> dict[str, object]:
    """Return the kind of an error and where it was raised, and its words if they are ours."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{_short(one.filename)}:{one.lineno} {one.name}" for one in frames[-12:]]
    said: dict[str, object] = {"error": type(error).__name__, "where": where}
    if isinstance(error, HosoError):
        said["error_said"] = str(error)
    return said


def _short(file: str) -> str:
    """Return a file's path from the top of the code, else its name."""
    path = Path(file)
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else path.name
