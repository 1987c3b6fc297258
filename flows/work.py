"""
The warm worker: woken by PostgreSQL, it carries on what is due within a second.

It looks by itself every few seconds too, because a wake-up may be lost with a connection. While the
Prefect server is away it does the same work without showing it; the projector catches up later.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import psycopg
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import PrefectException
from prefect.flow_engine import run_flow
from prefect.states import Pending

from flows import dossier
from flows.errands import Errand, owner
from flows.prefect_api import silence_waiting
from flows.projector import project, run_for, show_timeline
from flows.standing import waiting
from infra.database import connection_url
from infra.errors import HosoError, Unavailable
from infra.services import services
from tasks.dossier import outbox
from tasks.dossier.moves import WAKE

log = logging.getLogger("hoso.work")

#: How many dossiers one worker carries at once; most of a leg is waiting for others.
ROOM = 4
#: Seconds after which it looks for work although nobody woke it.
LOOK = 5.0
#: Seconds between two comparisons of every open dossier with its run.
COMPARE = 15.0
#: Seconds for which Prefect is not asked again after it did not answer.
LEAVE_ALONE = 5.0


class Worker:
    """One warm worker: its errands, and whether Prefect answers."""

    def __init__(self) -> None:
        """Prepare to work; nothing is taken before `run`."""
        self._woken = asyncio.Event()
        self._stopping = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()
        self._prefect_away_until = 0.0

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then finish the legs that have begun."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop)
        silence_waiting()
        side = [asyncio.create_task(self._listen()), asyncio.create_task(self._compare())]
        log.info("worker %s looks for dossiers", owner())
        while not self._stopping.is_set():
            self._woken.clear()
            await self._take()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK)
        for one in side:
            one.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    def _stop(self) -> None:
        """Take nothing more."""
        self._stopping.set()
        self._woken.set()

    async def _take(self) -> None:
        """Take as many due dossiers as there is room for."""
        room = ROOM - len(self._errands)
        if room <= 0:
            return
        try:
            leases = await asyncio.to_thread(outbox.take, owner(), room)
        except Unavailable as error:
            log.warning("%s", error)
            return
        for lease in leases:
            errand = asyncio.create_task(self._carry(Errand(lease=lease)))
            self._errands.add(errand)
            errand.add_done_callback(self._done)

    def _done(self, errand: asyncio.Task[None]) -> None:
        """Make room, and look for more."""
        self._errands.discard(errand)
        self._woken.set()

    async def _carry(self, errand: Errand) -> None:
        """Carry one dossier, shown in Prefect if it answers, and without it if not."""
        code = errand.lease.code
        try:
            async with self._client() as client:
                if client is None or not await self._run_shown(client, errand):
                    await errand.run(dossier.carry)
        except HosoError as error:
            # The lease runs out and another look follows; nothing is lost.
            log.warning("dossier %s: %s", code, error)

    async def _run_shown(self, client: PrefectClient, errand: Errand) -> bool:
        """Continue the dossier's own run; return whether the errand has run (whatever Prefect said after)."""
        code = errand.lease.code
        try:
            run = await run_for(client, code)
            await client.set_flow_run_state(run.id, Pending(name="Continuing"), force=True)
            run = await client.read_flow_run(run.id)
            dossier.held.set(errand)
            await run_flow(
                dossier.process_dossier, flow_run=run, parameters={"code": code}, return_type="state"
            )
            waits = await asyncio.to_thread(waiting, code)
            await show_timeline(client, waits, run.id)
        except (httpx.HTTPError, PrefectException, OSError) as error:
            self._prefect_away(error)
        return errand.ended

    async def _listen(self) -> None:
        """Be woken by the database for as long as the worker works, over any number of connections."""
        chosen = services().settings
        url = connection_url(chosen.database_url, chosen.database_password_file)
        conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
                async with connection:
                    await connection.execute(f"listen {WAKE}")
                    self._woken.set()
                    async for _ in connection.notifies():
                        self._woken.set()
            except psycopg.Error as error:
                log.warning("the database does not wake us: %s", type(error).__name__)
                await asyncio.sleep(1.0)

    async def _compare(self) -> None:
        """Compare every open dossier with its run, again and again."""
        while True:
            try:
                async with self._client() as client:
                    if client is not None and (wrong := await project(client)):
                        log.info("set %d runs right", wrong)
            except (httpx.HTTPError, PrefectException, OSError) as error:
                self._prefect_away(error)
            except HosoError as error:
                log.warning("%s", error)
            await asyncio.sleep(COMPARE)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[PrefectClient | None]:
        """Yield a client, or nothing while Prefect is known to be away."""
        if asyncio.get_running_loop().time() < self._prefect_away_until:
            yield None
            return
        async with get_client() as client:
            trouble = await client.api_healthcheck()
            if trouble is not None:
                self._prefect_away(trouble)
            yield None if trouble else client

    def _prefect_away(self, error: Exception) -> None:
        """Leave Prefect alone for a while."""
        log.warning("Prefect does not answer (%s); dossiers go on without it", type(error).__name__)
        self._prefect_away_until = asyncio.get_running_loop().time() + LEAVE_ALONE


def work() -> None:
    """Work until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for noisy in ("httpx", "httpcore", "prefect"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    asyncio.run(Worker().run())
