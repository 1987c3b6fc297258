"""
How steps run: as Prefect tasks while a run shows them, and as plain calls when Prefect is away.

Steps are synchronous functions. They run in a thread, because a synchronous task called from an async
flow would hold the loop, stop the heartbeat, and forbid pyHanko its own loop.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext
from prefect.flows import Flow
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.tasks import Task

from infra import logs
from infra.clock import HANOI
from infra.errors import Broken, HosoError
from infra.services import services
from tasks.dossier.maintenance import is_maintained

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("hoso.running")

#: Names of Prefect's invention: “arboreal-toucan”.
_INVENTED = re.compile("[a-z]+-[a-z]+")

#: Seconds between the tries of a step within a leg; a longer trouble is left to the outbox.
PATIENCE: list[float] = [0.5, 2.0]


def run_name() -> str:
    """
    Return what a run is called in the lists of the UI: its flow and the moment that it was planned for, Hanoi time.

    Prefect calls runs by two words of its own invention; a name that somebody gave stays.
    """
    name = str(flow_run.name)
    if not _INVENTED.fullmatch(name):
        return name
    planned: datetime = flow_run.scheduled_start_time
    return f"{flow_run.flow_name} {planned.astimezone(HANOI):%Y-%m-%d %H:%M}"


def by_the_clock(name: str) -> Callable[[Callable[P, Awaitable[State[None]]]], Flow[P, Any]]:
    """Return what makes a flow named `name` that begins nothing while the system is being maintained (OPS-01)."""

    def make(work: Callable[P, Awaitable[State[None]]]) -> Flow[P, Any]:
        @functools.wraps(work)
        async def unless_maintained(*args: P.args, **kwargs: P.kwargs) -> State[None]:
            if services().settings.log_format == "json":
                logs.begin(services().settings)  # A process of the pool's has Prefect's own way of logging.
            if await asyncio.to_thread(is_maintained):
                return maintained()
            return await work(*args, **kwargs)

        return flow(name=name, flow_run_name=run_name, persist_result=False)(unless_maintained)

    return make


def maintained() -> State[None]:
    """Return the end of a run that began nothing, because the system is being maintained."""
    return Completed(name="Maintenance", message="the system is being maintained; the next run does the work")


class StepAhead(Exception):
    """Somebody who only looks has come to a step that is to be done."""


_only_looking: ContextVar[bool] = ContextVar("only_looking", default=False)


@contextmanager
def only_looking() -> Iterator[None]:
    """Let every step within a `with` block raise `StepAhead` instead of being done."""
    token = _only_looking.set(True)
    try:
        yield
    finally:
        _only_looking.reset(token)


class Aside:
    """
    Sets troubles aside, so that what stands behind them is done all the same; `settle` raises them.

    One original that an engineer must look at does not keep the others from being sealed.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._troubles: list[Exception] = []

    def __enter__(self) -> None:
        """Do something that may fail on its own."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Set one of our errors aside; anything else goes on its way."""
        if isinstance(error, ExceptionGroup):
            self._troubles.extend(error.exceptions)
            return True
        if isinstance(error, HosoError):
            self._troubles.append(error)
            return True
        return False

    def settle(self) -> None:
        """Raise what was set aside: the one trouble, or all of them as a group."""
        if len(self._troubles) == 1:
            raise self._troubles[0]
        if self._troubles:
            raise ExceptionGroup("several things stand in the way", self._troubles)


def worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Retry only failures that time can cure; a refusal is an answer."""
    try:
        state.result()
    except HosoError as error:
        return error.worth_retrying
    except Exception:  # noqa: BLE001  Prefect asks for a decision about whatever was raised.
        return False
    return False


def step(work: Callable[P, R], *, name: str, run_name: str) -> Callable[P, Awaitable[R]]:
    """
    Return a step as flows call it: a task named `name` in a Prefect run, a thread outside of one.

    `run_name` is a template over the step's parameters; they are codes and numbers, never persons. No
    result is cached or persisted: doing a step twice is doing it once by its own keys. An error that is
    not ours comes out as `Broken`: what a library says may hold anything, and Prefect shows it to all.
    """
    in_thread = _in_thread(work)
    as_task = task(
        name=name,
        task_run_name=run_name,
        retries=len(PATIENCE),
        retry_delay_seconds=PATIENCE,
        retry_condition_fn=worth_retrying,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(in_thread)

    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        """Do the step, as a task where a run shows it."""
        if _only_looking.get():
            raise StepAhead(name)
        if FlowRunContext.get() is None:
            return await in_thread(*args, **kwargs)
        done: R = await as_task(*args, **kwargs)
        return done

    return run


def _in_thread(work: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Return `work` as a coroutine function with the same parameters, for Prefect to name runs by."""

    @functools.wraps(work)
    async def in_thread(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with logs.about(step=work.__name__):
                return await asyncio.to_thread(work, *args, **kwargs)
        except HosoError:
            raise
        except Exception as error:
            log.exception("the step %s of %s", work.__name__, args[0] if args else "?")
            raise Broken(f"{type(error).__name__} in {work.__name__}; the worker's log says more") from error

    return in_thread
