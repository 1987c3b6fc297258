"""
The warm worker: woken by PostgreSQL, it carries on what is due within a second.

It looks by itself every few seconds too, because a wake-up may be lost with a connection. While the
Prefect server is away it does the same work without showing it; the projector catches up later.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

import httpx
import psycopg
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, FlowRunPolicy, StateType
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.exceptions import Abort, Pause, PrefectException
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Pending

from flows import dossier
from flows.batch_watch import watch_batches
from flows.errands import Errand, owner
from flows.exchange import Postman
from flows.pictures import remember
from flows.prefect_api import silence_waiting
from flows.projector import project, run_for
from flows.showing import NotDeployed
from flows.standing import waiting
from infra import logs
from infra.database import connection_url
from infra.errors import HosoError, Unavailable
from infra.release import release_name
from infra.services import services
from tasks.dossier import outbox
from tasks.dossier.moves import WAKE
from tasks.exchange.books import WAKE as POST
from tasks.health.metrics import count_leg, serve_figures
from tasks.releases.current import current

log = logging.getLogger("hoso.work")

#: How many dossiers one worker carries at once; most of a leg is waiting for others.
ROOM = 4
#: Seconds after which it looks for work although nobody woke it.
LOOK = 5.0
#: Seconds after which a worker of a release that is not deployed yet looks whether it is.
LOOK_FOR_RELEASE = 1.0
#: Seconds between two comparisons of every open dossier with its run, and the share of its time that
#: comparing may take where there are very many.
COMPARE = 15.0
COMPARE_SHARE = 0.05
#: Seconds for which Prefect is not asked again after it did not answer.
LEAVE_ALONE = 5.0

#: What Prefect's client and engine raise when the server does not answer or does not agree.
_PREFECT_SAYS_NO = (httpx.HTTPError, PrefectException, Abort, Pause, OSError)


class Worker:
    """One warm worker: its errands, and whether Prefect answers."""

    def __init__(self) -> None:
        """Prepare to work; nothing is taken before `run`."""
        self._woken = asyncio.Event()
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._errands: set[asyncio.Task[None]] = set()
        #: The dossier that is carried alone, because workers died at it.
        self._alone = ""
        self._prefect_away_until = 0.0
        self._postman = Postman()

    async def run(self) -> None:
        """Work until `stop`, then finish the legs that have begun."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(3 * ROOM, thread_name_prefix="step"))
        silence_waiting()
        # Leases renew themselves and tell Prefect that their run is alive, so the engine need not, with a
        # thread a leg. Two clients serve all legs, because making one takes as long as five requests.
        quiet = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
        with quiet, SyncClientContext.get_or_create():
            async with AsyncClientContext.get_or_create() as context:
                await self._work(context.client)

    async def _work(self, client: PrefectClient) -> None:
        """Look for dossiers until told to stop, from the moment on at which this release is the one that works."""
        await self._wait_for_release()
        if self._stopping:
            return
        log.info("worker %s looks for dossiers", owner())
        side = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._compare(client)),
            asyncio.create_task(self._postman.run(client)),
        ]
        while not self._stopping:
            self._woken.clear()
            await self._take(client)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK)
        for one in side:
            one.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    async def _wait_for_release(self) -> None:
        """Wait while another release works; a new worker is started before the old one ends."""
        said = False
        while not self._stopping and not await self._is_current():
            if not said:
                log.info("worker %s of release %s waits until it is deployed", owner(), release_name())
            said = True
            self._woken.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_FOR_RELEASE)

    async def _is_current(self) -> bool:
        """Whether this program's release is the one that works; before the first was deployed every one does."""
        try:
            working = await asyncio.to_thread(current)
        except Unavailable as error:
            log.warning("%s", error)
            return False
        return working is None or working.name == release_name()

    def stop(self) -> None:
        """Take nothing more; may be called from any thread, and before the work has begun."""
        self._stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def _take(self, client: PrefectClient) -> None:
        """Take as many due dossiers as there is room for."""
        room = ROOM - len(self._errands)
        if room <= 0 or self._stopping or self._alone:
            return
        try:
            working = await asyncio.to_thread(current)
            if working is not None and working.name != release_name():
                log.info("release %s works now; this worker ends", working.name or "nobody's")
                self.stop()
                return
            leases = await asyncio.to_thread(outbox.take, owner(), room, idle=not self._errands)
        except Unavailable as error:
            log.warning("%s", error)
            return
        for lease in leases:
            self._alone = lease.code if lease.deaths > 1 else self._alone
            errand = asyncio.create_task(self._carry(client, Errand(lease=lease)))
            self._errands.add(errand)
            errand.add_done_callback(self._done)

    def _done(self, errand: asyncio.Task[None]) -> None:
        """Make room, and look for more."""
        self._errands.discard(errand)
        # What is carried alone is the only one.
        self._alone = ""
        self._woken.set()

    async def _carry(self, client: PrefectClient, errand: Errand) -> None:
        """Carry one dossier, shown in Prefect if it answers, and without it if not."""
        code = errand.lease.code
        try:
            with logs.about(dossier=code):
                if not self._prefect_answers() or not await self._carry_shown(client, errand):
                    await errand.run(dossier.carry)
            count_leg(errand.error)
        except HosoError as error:
            # The lease runs out and another look follows; nothing is lost.
            log.warning("dossier %s: %s", code, error)
        except Exception:
            log.exception("dossier %s is left until its lease runs out", code)

    async def _carry_shown(self, client: PrefectClient, errand: Errand) -> bool:
        """Carry a dossier where Prefect can see it; return whether it was carried, whatever Prefect said after."""
        code = errand.lease.code
        try:
            if await dossier.is_at_rest(code):
                # A leg without a step would only cost the server work.
                await errand.run(dossier.carry)
                await project(client, [code])
            else:
                await self._continue(client, errand)
        except NotDeployed as error:
            log.warning("dossier %s goes on without being shown: %s", code, error)
        except _PREFECT_SAYS_NO as error:
            self._prefect_away(error)
        return errand.ended

    async def _continue(self, client: PrefectClient, errand: Errand) -> None:
        """Continue the dossier's own run with the errand that was begun for it."""
        code = errand.lease.code
        run = await run_for(client, code)
        if run.state is None or run.state.type not in _CAN_GO_ON:
            await client.set_flow_run_state(run.id, Pending(name="Continuing"), force=True)
        dossier.held.set(errand)
        leg = run_flow(
            dossier.process_dossier, flow_run=_bare(run), parameters={"code": code}, return_type="state"
        )
        await cast("Awaitable[object]", leg)
        await asyncio.to_thread(remember, [(run.id, await asyncio.to_thread(waiting, code))])

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
                    await connection.execute(f"listen {POST}")
                    self._woken.set()
                    async for note in connection.notifies():
                        (self._postman.woken if note.channel == POST else self._woken).set()
            except psycopg.Error as error:
                log.warning("the database does not wake us: %s", type(error).__name__)
                await asyncio.sleep(1.0)

    async def _compare(self, client: PrefectClient) -> None:
        """Compare every open dossier with its run, again and again."""
        while True:
            began = time.monotonic()
            try:
                if self._prefect_answers():
                    await watch_batches(client)
                    if wrong := await project(client):
                        log.info("set %d runs right", wrong)
            except _PREFECT_SAYS_NO as error:
                self._prefect_away(error)
            except HosoError as error:
                log.warning("%s", error)
            except Exception:
                log.exception("the comparison with Prefect")
            await asyncio.sleep(max(COMPARE, (time.monotonic() - began) / COMPARE_SHARE))

    def _prefect_answers(self) -> bool:
        """Whether Prefect is worth asking: it has not just failed to answer."""
        return time.monotonic() >= self._prefect_away_until

    def _prefect_away(self, error: BaseException) -> None:
        """Leave Prefect alone for a while."""
        log.warning("Prefect does not take part (%s); dossiers go on without it", type(error).__name__)
        self._prefect_away_until = time.monotonic() + LEAVE_ALONE


#: States from which the engine may set a run going; from others it is forced to begin anew first.
_CAN_GO_ON = (StateType.PENDING, StateType.PAUSED, StateType.RUNNING)


def _bare(run: FlowRun) -> FlowRun:
    """
    Return a run as the engine should take it up.

    Without its deployment, because the engine would open a web socket and a thread for every leg to hear
    of a suspension, and a leg is over by then; with a fresh policy, because the engine writes it back and
    the old one holds a key for every time that the run has waited.
    """
    return run.model_copy(
        update={
            "deployment_id": None,
            "empirical_policy": FlowRunPolicy(retries=0, retry_delay=0),
            "state": Pending(),
        }
    )


def work() -> None:
    """Work until told to stop by SIGTERM or SIGINT."""
    logs.begin(services().settings)
    serve_figures(services().settings.metrics_listen)
    worker = Worker()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: worker.stop())
    # Not in the main thread: there the engine takes SIGTERM for itself during every leg, and would end one
    # in its middle.
    with ThreadPoolExecutor(1, thread_name_prefix="worker") as thread:
        thread.submit(asyncio.run, worker.run()).result()
