"""The command for anybody: is this file what was signed, and by whom? No login, no database, no stack."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import app
from infra.clock import HANOI, SystemClock
from infra.errors import Forbidden

if TYPE_CHECKING:
    from infra.pdf.verifying import Asked
    from infra.pdf.verifying.findings import Report


class Lang(StrEnum):
    """The languages of a report."""

    VI = "vi"
    EN = "en"
    BOTH = "both"


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(help="Signed PDFs; with a delivery note, both of them.")],
    anchors: Annotated[
        Path | None,
        typer.Option(
            "--anchors",
            help="Folder of root certificates that you trust (.pem .crt .cer), with lists (.crl).",
        ),
    ] = None,
    online: Annotated[
        bool, typer.Option("--online/--offline", help="Ask the authorities that you trust about revocation.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the report.")] = Lang.BOTH,
    standing: Annotated[
        Path | None,
        typer.Option("--standing", help="A standing list at hand; it says whether the result still stands."),
    ] = None,
    standing_key: Annotated[
        Path | None,
        typer.Option(
            "--standing-key",
            help="The key that signs the lists (what “hoso history key” prints); without it, *.key among the anchors.",
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help="Judge as of this moment (ISO 8601) instead of now.")
    ] = None,
) -> None:
    """Check signed PDFs: exit 0 valid, 1 not valid, 3 cannot be decided, 4 unreadable; several files: the worst."""
    from flows.cli.standings import exit_code, read_standings
    from infra.pdf.verifying import verify as examine
    from infra.pdf.verifying.findings import EXIT_CODES, worst
    from infra.pdf.verifying.folder import Folder, read_folder
    from infra.pdf.verifying.pairs import belonging
    from infra.pdf.verifying.printed import printed, sentence, summary

    try:
        trusted = read_folder(anchors) if anchors else Folder()
    except Forbidden as error:
        raise typer.BadParameter(str(error)) from error
    moment = _moment(at) if at else SystemClock().now()

    def look(asked: Asked | None = None) -> list[Report]:
        return [
            _report(path, lambda name, pdf: examine(name, pdf, trusted=trusted, at=moment, online=asked))
            for path in files
        ]

    reports = look()
    if online:
        from infra.pdf.verifying.online import ask_authorities

        reports = look(ask_authorities(reports))
    reports = belonging(reports)
    verdict = worst(report.verdict for report in reports)
    known = read_standings(standing, standing_key, anchors)
    stands = [known.of(_bytes(path), moment) for path in files]
    if as_json:
        data = [
            {
                **report.as_json(),
                "verdict": report.verdict.value,
                "standing": {**stood.data, "vi": stood.vi, "en": stood.en},
                "summary": {"vi": summary(report, "vi"), "en": summary(report, "en")},
                "sentences": [
                    {
                        "code": one.code,
                        "weight": one.weight,
                        "vi": sentence(one, "vi"),
                        "en": sentence(one, "en"),
                    }
                    for one in report.everything()
                ],
            }
            for report, stood in zip(reports, stands, strict=True)
        ]
        print(
            json.dumps(
                {"verdict": verdict.value, "at": moment.isoformat(), "files": data},
                ensure_ascii=False,
                indent=1,
            )
        )
    else:
        for report, stood in zip(reports, stands, strict=True):
            texts = [
                f"{printed(report, one)}\n\n{stood.vi if one == 'vi' else stood.en}"
                for one in ("vi", "en")
                if lang in (one, "both")
            ]
            print("\n\n".join(texts), end="\n\n")
    sys.exit(exit_code(EXIT_CODES[verdict], stands, asked=standing is not None))


def _bytes(path: Path) -> bytes:
    """Return a file's bytes; nothing of one that cannot be opened, which its report says."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _report(path: Path, examine: Callable[[str, bytes], Report]) -> Report:
    """Return the report on a file, also on one that cannot be opened."""
    from infra.pdf.verifying import unopened

    try:
        content = path.read_bytes()
    except OSError as error:
        return unopened(str(path), str(error.strerror))
    return examine(str(path), content)


def _moment(text: str) -> datetime:
    """Return a moment given by hand; without a zone it is Việt Nam's."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text} is not a moment; write it like 2026-11-22T09:00:00+07:00."
        ) from error
    return (moment if moment.utcoffset() is not None else moment.replace(tzinfo=HANOI)).astimezone(UTC)
