"""What supervisors see and are told by the clock: the board, the day sheet, deadlines."""

from __future__ import annotations

import asyncio
from datetime import datetime

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from sqlmodel import select

from flows.boards import render_board, render_day
from flows.running import by_the_clock
from infra.errors import HosoError
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.tables import OfficeRow
from tasks.supervision.board import Board, open_as_csv, read_board
from tasks.supervision.day import Hour, day_sheet
from tasks.supervision.overdue import watch_deadlines


@flow(name="board", persist_result=False)
async def board() -> State[None]:
    """Show what is open, late and nearly late as the artifact `board`, and keep the whole list as CSV in the store."""
    found, key = await asyncio.to_thread(_read)
    page = render_board(found, listed=key, page=services().settings.prefect_ui_url)
    await acreate_markdown_artifact(key="board", markdown=page, description="Late and nearly late on top.")
    return Completed(message=f"{found.open} open, {found.late} late, {found.near} nearly late")


def _read() -> tuple[Board, str]:
    """Return the board and where the whole list lies in the store; one list a day is kept."""
    parts = services()
    with parts.database.transaction() as session:
        found = read_board(session)
        content = b"".join(open_as_csv(session))
    key = f"board/{local(found.at):%Y-%m-%d}.csv"
    parts.work.put(key, content, content_type="text/csv; charset=utf-8")
    return found, key


@flow(name="day-sheet", persist_result=False)
async def sheet() -> State[None]:
    """Show today's appointments by office and hour as the artifact `day-sheet`."""
    at, hours = await asyncio.to_thread(_today)
    await acreate_markdown_artifact(
        key="day-sheet", markdown=render_day(at, hours), description="Codes only."
    )
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
        except HosoError as error:  # One office's error keeps no other from being looked at.
            failed.append(f"{office}: {error}")
            continue
        said.append(f"{office}: {seen.near} near, {seen.late} late, {seen.escalated} escalated")
    message = "; ".join([*failed, *said]) or "no office"
    return Failed(message=message) if failed else Completed(message=message)


def _offices() -> list[str]:
    """Return every office's code."""
    with services().database.transaction() as session:
        return list(session.exec(select(OfficeRow.code).order_by(OfficeRow.code)))
