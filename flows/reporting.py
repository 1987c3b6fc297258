"""The periodic reports as a flow: what is over and not reported yet is counted, kept, sealed, and linked in the UI."""

from __future__ import annotations

import asyncio
import re

from prefect.artifacts import acreate_link_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.running import by_the_clock
from infra.errors import HosoError
from infra.services import services
from tasks.dossier.moves import SYSTEM
from tasks.reporting.keeping import paper_to_show
from tasks.reporting.making import due_reports, make_report
from tasks.reporting.sealing import seal_report


@by_the_clock("reports")
async def reports() -> State[None]:
    """Make, seal and link the reports on periods that are over, each once; one office's error stops no other."""
    made, failed = [], []
    for office, name, every in await asyncio.to_thread(due_reports):
        what = f"{office} {name}{' of every office' if every else ''}"
        try:
            number, where = await asyncio.to_thread(_make, office, name, every)
        except HosoError as error:
            failed.append(f"{what}: {error}")
            continue
        key = re.sub("[^a-z0-9]+", "-", f"report-{'every-' if every else ''}{office}-{name}".lower())
        await acreate_link_artifact(link=where, link_text=f"Report {number}: {what}", key=key)
        made.append(what)
    message = (
        "; ".join([*failed, *(f"made {what}" for what in made)]) or "every period that is over is reported"
    )
    return Failed(message=message) if failed else Completed(message=message)


def _make(office: str, name: str, every: bool) -> tuple[int, str]:
    """Make one report and seal it; return its number and where its page lies in the store."""
    row = make_report(office, name, by=SYSTEM, every_office=every)
    number = row.number or 0
    seal_report(number)
    paper = paper_to_show(number)
    return number, f"s3://{services().settings.s3_work_bucket}/{paper.key}"
