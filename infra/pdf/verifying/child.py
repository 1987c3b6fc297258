"""
The process that examines signed files: `python -m infra.pdf.verifying.child`.

Reads a request on standard input (one line of JSON, then bytes), limits itself before it looks at the first
byte of a file, and writes the report as one line of JSON. A failure on a file is a finding about that file.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from typing import Any

from infra.pdf.confined import confine, is_starved

#: The modules that files are read with.
READERS = ("infra.pdf.verifying.examine",)


def main() -> None:
    """Answer one request."""
    header = json.loads(sys.stdin.buffer.readline())
    confine(header["cost"], readers=READERS)
    # What pyHanko says to engineers would tell a citizen nothing; the findings do.
    logging.disable(logging.CRITICAL)
    try:
        answer = _examine(header)
        if is_starved() and any(one["code"] == "damaged" for one in answer["findings"]):
            answer = {"too-much": True}
    except (MemoryError, RecursionError):
        answer = {"too-much": True}
    sys.stdout.write(json.dumps(answer) + "\n")


def _examine(header: dict[str, Any]) -> dict[str, Any]:
    """Return the report on the one file; only this process imports the readers, and its caller never does."""
    from asn1crypto import crl, ocsp, x509  # type: ignore[import-untyped]  # noqa: PLC0415

    from infra.pdf.verifying.certificates import Answers, Evidence  # noqa: PLC0415
    from infra.pdf.verifying.examine import examine  # noqa: PLC0415

    read = sys.stdin.buffer.read
    pdf = read(header["file"]["bytes"])
    anchors = tuple(x509.Certificate.load(read(size)) for size in header["anchors"])
    answers = {
        source: Answers(
            crls=tuple(crl.CertificateList.load(read(size)) for size in sizes["crls"]),
            ocsps=tuple(ocsp.OCSPResponse.load(read(size)) for size in sizes["ocsps"]),
        )
        for source, sizes in header["answers"].items()
    }
    evidence = Evidence(anchors=anchors, answers=answers)
    at = datetime.fromisoformat(header["at"])
    return examine(header["file"]["name"], pdf, evidence=evidence, at=at).as_json()


if __name__ == "__main__":
    main()
