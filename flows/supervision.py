"""What supervisors see and are told by the clock: the board, the day sheet, deadlines."""

from __future__ import annotations

import asyncio
from datetime import datetime

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from sqlmodel import select

from flows.boards import render_board, render_day
from flows.running import by_the_clock, run_name
from infra.errors import HosoError
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.tables import OfficeRow
from tasks.supervision.awaiting import Awaited, read_awaited
from tasks.supervision.board import Board, open_as_csv, read_board
from tasks.supervision.day import Hour, day_sheet
from tasks.supervision.overdue import watch_deadlines


@flow(name="board", flow_run_name=run_name, persist_result=False)
async def board() -> State[None]:
    """Show what is open, late and nearly late as the artifact `board`, and keep the whole list as CSV in the store."""
    found, awaited, key = await asyncio.to_thread(_read)
    page = render_board(found, awaited, listed=key, page=services().settings.prefect_ui_url)
    await show_page("board", page, "Late and nearly late on top.")
    return Completed(message=f"{found.open} open, {found.late} late, {found.near} nearly late")


def _read() -> tuple[Board, tuple[Awaited, ...], str]:
    """Return the board, what is waited for, and where the whole list lies in the store; one list a day is kept."""
    parts = services()
    with parts.database.transaction() as session:
        found, awaited = read_board(session), read_awaited(session)
        content = b"".join(open_as_csv(session))
    return found, awaited, _keep_list(local(found.at), content)


def _keep_list(at: datetime, content: bytes) -> str:
    """Keep the whole list in the store, in the place of those of the same day, and return its key."""
    work, day = services().work, f"board/{at:%Y-%m-%d}/"
    key = f"{day}{at:%H%M%S.%f}.csv"
    work.put(key, content, content_type="text/csv; charset=utf-8")
    for older in work.keys(day):
        if older < key:
            work.remove(older)
    return key


@flow(name="day-sheet", flow_run_name=run_name, persist_result=False)
async def sheet() -> State[None]:
    """Show today's appointments by office and hour as the artifact `day-sheet`."""
    at, hours = await asyncio.to_thread(_today)
    page = render_day(at, hours, page=services().settings.prefect_ui_url)
    await show_page("day-sheet", page, "Today's appointments, by code.")
    return Completed(message=f"{sum(len(hour.codes) for hour in hours)} appointments")


def _today() -> tuple[datetime, list[Hour]]:
    """Return now and today's slots."""
    parts = services()
    at = local(parts.clock.now())
    with parts.database.transaction() as session:
        return at, day_sheet(session, at.date())


@by_the_clock("overdue")
async def overdue() -> State[None]:
    """Tell every office what nears its time or is late, and its superior what is late for long."""
    said, failed = [], []
    for office in await asyncio.to_thread(_offices):
        try:
            seen = await asyncio.to_thread(watch_deadlines, office)
        except HosoError as error:  # One office's error keeps no other from being looked at,
            failed.append(f"{office}: {error}")
            continue
        except Exception as error:  # noqa: BLE001  nor does one whose data cannot be read at all.
            failed.append(f"{office}: {type(error).__name__}")
            continue
        said.append(f"{office}: {seen.near} near, {seen.late} late, {seen.escalated} escalated")
    message = "; ".join([*failed, *said]) or "no office"
    return Failed(message=message) if failed else Completed(message=message)


def _offices() -> list[str]:
    """Return every office's code."""
    with services().database.transaction() as session:
        return list(session.exec(select(OfficeRow.code).order_by(OfficeRow.code)))


async def show_page(key: str, page: str, description: str) -> None:
    """
    Show a page of Markdown as the artifact of some key, in the place of what it showed before.

    Its address stays the same, so that people keep it open and look again; it belongs to no run, because a run's
    artifacts are deleted with it. The first page of a key makes the artifact.
    """
    async with get_client() as client:
        chosen = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        found = await client.read_latest_artifacts(artifact_filter=chosen, limit=1)
        if found:
            await client.update_artifact(
                found[0].latest_id, ArtifactUpdate(data=page, description=description)
            )
        else:
            made = ArtifactCreate(key=key, type="markdown", data=page, description=description)
            await client.create_artifact(made)
