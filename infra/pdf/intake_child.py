"""
The process that opens hostile files: `python -m infra.pdf.intake_child`.

Reads a request on standard input (one line of JSON, then the files' bytes), writes the answer on standard
output in the same form, and ends. It limits itself before it looks at the first byte of a file. Exit
code 0 is an answer, refusals included; anything else is a crash that the caller explains.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from infra.pdf.confined import confine, is_starved
from infra.pdf.pages import Limits, PageImage, Unfit

#: The modules that files are read with.
READERS = ("infra.pdf.scans",)


def main() -> None:
    """Answer one request."""
    header = json.loads(sys.stdin.buffer.readline())
    limits = Limits(**header["limits"])
    confine(header["cost"], readers=READERS)
    try:
        pages = _read(header["files"], limits)
    except Unfit as refusal:
        if refusal.code == "truncated" and is_starved():
            _answer({"refusal": _too_much(header)}, [])
        else:
            _answer({"refusal": {"code": refusal.code, "message": refusal.message}}, [])
    except (MemoryError, RecursionError):
        _answer({"refusal": _too_much(header)}, [])
    else:
        fields = [asdict(page) for page in pages]
        for field in fields:
            field["bytes"] = len(field.pop("content"))
        _answer({"pages": fields}, pages)


def _too_much(header: dict[str, Any]) -> dict[str, str]:
    """Return the refusal of files that need too much memory."""
    names = ", ".join(file["name"] for file in header["files"])
    return {"code": "too-complex", "message": f"Reading {names} needs more memory than a scan ever should."}


def _read(files: list[dict[str, Any]], limits: Limits) -> list[PageImage]:
    """Read every file; only this process imports the readers, and its caller never does."""
    from infra.pdf.scans import pages_of, prepare_libraries  # noqa: PLC0415

    prepare_libraries(limits)
    pages: list[PageImage] = []
    total = 0
    for file in files:
        content = sys.stdin.buffer.read(file["bytes"])
        for page in pages_of(file["name"], content, limits):
            pages.append(page)
            total += len(page.content)
            if len(pages) > limits.pages:
                raise Unfit(f"The original has more than {limits.pages} pages.", code="too-large")
            if total > limits.output_bytes:
                raise Unfit("The pictures of this original are too large together.", code="too-large")
    return pages


def _answer(header: dict[str, Any], pages: list[PageImage]) -> None:
    """Write the answer."""
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n")
    for page in pages:
        sys.stdout.buffer.write(page.content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
