"""
The door for what people bring: hostile files go in, clean page images come out.

Every file is read in a child process with limits on memory, processor time, output and wall time, so
that a file made to harm its reader kills the child and nobody else. The child gets an empty environment
and two anonymous files; nothing is left behind when either side dies. It is not a sandbox against code
execution: it runs as the same user, so keep pikepdf and Pillow up to date.

Only pixels cross the door. Whatever else a PDF carries (invisible text, metadata, former revisions,
unused objects) is dropped, and whatever could change what a reader sees is refused.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from infra.errors import Broken, Unavailable
from infra.pdf.pages import REFUSALS, Limits, PageImage, Unfit

__all__ = ["Limits", "PageImage", "Unfit", "read_scans"]

_ROOT = Path(__file__).resolve().parents[2]


def read_scans(files: Sequence[tuple[str, bytes]], *, limits: Limits | None = None) -> list[PageImage]:
    """
    Return the pages of one original, in the order of its files (name, content) and their pages.

    PDF, JPEG and PNG are told apart by content. Same files, same pages: reading twice is harmless.
    Raises `Unfit` (what is wrong, with a way out), `Unavailable` if no child can be started, `Broken`
    if the child fails for a reason that is not the file's.
    """
    limits = limits or Limits()
    _refuse_by_size(files, limits)
    with tempfile.TemporaryFile() as request, tempfile.TemporaryFile() as answer:
        _write_request(request, files, limits)
        _run_child(request, answer, files, limits)
        answer.seek(0)
        return _read_answer(answer)


def _refuse_by_size(files: Sequence[tuple[str, bytes]], limits: Limits) -> None:
    """Refuse what need not be opened to be refused."""
    if not files:
        raise Unfit("The original has no file.", code="empty")
    for name, content in files:
        if not content:
            raise Unfit(f"The file {name} is empty.", code="empty")
        if len(content) > limits.file_bytes:
            raise Unfit(
                f"The file {name} has {_megabytes(len(content))}, more than the "
                f"{_megabytes(limits.file_bytes)} allowed.",
                code="too-large",
            )
    total = sum(len(content) for _, content in files)
    if total > limits.total_bytes:
        raise Unfit(
            f"The files of this original have {_megabytes(total)} together, more than the "
            f"{_megabytes(limits.total_bytes)} allowed.",
            code="too-large",
        )


def _megabytes(count: int) -> str:
    """Say a number of bytes as people do."""
    return f"{count / 1_000_000:.1f} MB"


def _write_request(request: IO[bytes], files: Sequence[tuple[str, bytes]], limits: Limits) -> None:
    """Write one line of JSON, then the contents one after the other."""
    header = {"limits": asdict(limits), "files": [{"name": n, "bytes": len(c)} for n, c in files]}
    request.write(json.dumps(header).encode() + b"\n")
    for _, content in files:
        request.write(content)
    request.flush()
    request.seek(0)


def _run_child(
    request: IO[bytes], answer: IO[bytes], files: Sequence[tuple[str, bytes]], limits: Limits
) -> None:
    """Let the child read the request; it is dead when this returns or raises."""
    names = ", ".join(name for name, _ in files)
    with tempfile.TemporaryFile() as complaints:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "infra.pdf.intake_child"],
                stdin=request,
                stdout=answer,
                stderr=complaints,
                env={"PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},
                cwd="/",
                timeout=limits.wall_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unfit(
                f"Reading {names} took longer than {limits.wall_seconds:g} s.", code="too-complex"
            ) from error
        except OSError as error:
            raise Unavailable("This machine cannot start a process to read scans") from error
        if done.returncode == 0:
            return
        if done.returncode < 0:
            # A file that crashes or starves its reader is refused, whatever it was that it did.
            cause = signal.Signals(-done.returncode).name
            raise Unfit(
                f"Reading {names} needs too much, or breaks the reader ({cause}).", code="too-complex"
            )
        complaints.seek(0)
        last = complaints.read(100_000).decode(errors="replace").strip().rpartition("\n")[2]
        raise Broken(f"The reader of scans failed with code {done.returncode}: {last[:300]}")


def _read_answer(answer: IO[bytes]) -> list[PageImage]:
    """Turn the child's answer into pages, or raise what it refused; the child is not trusted to be sane."""
    try:
        header: dict[str, Any] = json.loads(answer.readline(10_000_000))
        refusal = header.get("refusal")
        if refusal is not None and refusal["code"] in REFUSALS:
            raise Unfit(str(refusal["message"]), code=refusal["code"])
        return [_page(fields, answer) for fields in header["pages"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("The reader of scans gave an answer that makes no sense") from error


def _page(fields: dict[str, Any], answer: IO[bytes]) -> PageImage:
    """Return one page, its bytes taken from the stream."""
    size = int(fields.pop("bytes"))
    content = answer.read(size)
    if len(content) != size or fields["media_type"] not in ("image/jpeg", "image/png"):
        raise ValueError("a page is cut off or of an unknown type")
    return PageImage(content=content, **fields)
