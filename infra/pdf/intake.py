"""
The door for what people bring: hostile files go in, clean page images come out.

Every file is read in a child process with limits (`confined`), so that a file made to harm its reader kills
the child and nobody else.

Only pixels cross the door. Whatever else a PDF carries (invisible text, metadata, former revisions,
unused objects) is dropped, and whatever could change what a reader sees is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any

from infra.errors import Broken
from infra.pdf.confined import Cost, TooCostly, asking
from infra.pdf.pages import REFUSALS, Limits, PageImage, Unfit

__all__ = ["Limits", "PageImage", "Unfit", "read_scans"]

_CHILD = "infra.pdf.intake_child"


def read_scans(files: Sequence[tuple[str, bytes]], *, limits: Limits | None = None) -> list[PageImage]:
    """
    Return the pages of one original, in the order of its files (name, content) and their pages.

    PDF, JPEG and PNG are told apart by content. Same files, same pages: reading twice is harmless.
    Raises `Unfit` (what is wrong, with a way out), `Unavailable` if no child can be started, `Broken`
    if the child fails for a reason that is not the file's.
    """
    limits = limits or Limits()
    _refuse_by_size(files, limits)
    header = {"limits": asdict(limits), "files": [{"name": n, "bytes": len(c)} for n, c in files]}
    try:
        with asking(_CHILD, header, [content for _, content in files], cost=_cost(limits)) as answer:
            return _read_answer(answer)
    except TooCostly as error:
        names = ", ".join(name for name, _ in files)
        raise Unfit(f"Reading {names} {error}.", code="too-complex") from error


def _cost(limits: Limits) -> Cost:
    """Return what the child may cost."""
    return Cost(
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        wall_seconds=limits.wall_seconds,
        output_bytes=limits.output_bytes,
    )


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
