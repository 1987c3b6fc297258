"""
Bring a stack up, take it down, say how it is.

`up` and `down` may be repeated and interrupted: what is running is left alone, what is missing or was
killed is started, and an interrupted `up` ends what it had started itself. Only one of them works on a
stack at a time.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import Broken, Forbidden, Unavailable
from infra.stack import process
from infra.stack.backup import Receiver
from infra.stack.layout import Memory, Place, settings_lines, write_private
from infra.stack.parts import LOOPBACK, Part
from infra.stack.pki import Pki
from infra.stack.postgres import Database
from infra.stack.prefect_server import PoolWorker, PrefectServer, WarmWorker
from infra.stack.seaweed import Store
from infra.stack.softhsm import Tokens
from infra.stack.stand_ins import Axis, MailSink, Portal
from infra.stack.standby import RunsStandBy, StandBy

#: Every part, in the order in which people are told of them.
PARTS: tuple[Part, ...] = (
    Database(),
    Receiver(),
    Store(),
    Pki(),
    Tokens(),
    MailSink(),
    Portal(),
    Axis(),
    PrefectServer(),
    PoolWorker(),
    WarmWorker(),
    StandBy(),
    RunsStandBy(),
)

DEFAULT_ROOT = Path("var/stack")

#: Ports are chosen here: above the well-known ones, below those that Linux gives to outgoing connections.
_PORT_RANGE = range(20_000, 32_000)

#: Seconds that a part may take to do its work, and to end; Prefect's first start is the slowest, and the
#: store waits a quarter of a minute for connections that it holds to itself.
_START_PATIENCE = 180.0
_STOP_PATIENCE = 30.0

#: How often ports are chosen anew when somebody else took one between the choice and the start; and the words for it.
_PORT_TRIES = 3
_TAKEN = "address already in use"

Tell = Callable[[str], None]


class PortTaken(Broken):
    """A part could not listen, because another program had come to its port meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """How one part is at a moment; `cpu_percent` is of one core, over the time of the look."""

    part: str
    state: str  # "up", "not ready", "down"
    address: str
    pid: int | None
    cpu_percent: float
    memory_mb: float


def up(
    root: Path = DEFAULT_ROOT,
    parts: Iterable[str] | None = None,
    *,
    settings: Mapping[str, str] | None = None,
    tell: Tell = lambda _: None,
) -> Path:
    """
    Start the parts (all, if none are named) and what they need; return the settings file once all are ready.

    Running parts are left alone unless what they were started with has changed. `settings` are `HOSO_…`
    lines to add to the file; they are remembered. Raises `Unavailable` when something is missing or slow,
    `Broken` when a part fails (with the end of its log). Whatever ends it early, the parts that this call
    started are ended.
    """
    wanted = with_needs(parts if parts is not None else [part.name for part in PARTS])
    place = Place.at(root)
    with place.locked():
        for tries_left in reversed(range(_PORT_TRIES)):
            _choose(place, wanted, settings or {})
            try:
                _start_or_undo(place, wanted, tell)
                break
            except PortTaken as taken:
                if not tries_left:
                    raise
                tell(f"{taken}; another port is chosen")
    return place.settings_file


def _start_or_undo(place: Place, wanted: Sequence[Part], tell: Tell) -> None:
    """Start the parts that do not run; whatever ends it early, those that were started are ended."""
    started: list[Part] = []
    try:
        _start_all(place, wanted, started, tell)
    except BaseException:
        with process.uninterrupted():
            for part in reversed(started):
                _stop(place, part, patience=5)
                part.tidy(place)
        raise


def down(root: Path = DEFAULT_ROOT, *, patience: float = _STOP_PATIENCE, tell: Tell = lambda _: None) -> None:
    """
    End every part of a stack, whatever state it is in; its data stays.

    Each part is asked, given `patience` seconds, and then killed with all its children.
    """
    if not root.exists():
        return
    place = Place(root.absolute())
    place.folder("pids")
    with place.locked():
        for part in reversed(PARTS):
            if process.family(_leader(place, part), _mark(place, part)):
                tell(f"{part.name}: ending")
                _stop(place, part, patience=patience)
        for name in place.remembered().parts:
            _named(name).tidy(place)


def status(root: Path = DEFAULT_ROOT, *, seconds: float = 5.0) -> list[PartStatus]:
    """Return how the parts that this stack was asked for are, watching the processor for some seconds."""
    place = Place(root.absolute())
    if not root.exists():
        return []
    asked = [part for part in PARTS if part.name in place.remembered().parts]
    before = {part.name: _cpu(place, part) for part in asked}
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    found = []
    for part in asked:
        leader = _leader(place, part)
        members = process.family(leader, _mark(place, part))
        earlier = before[part.name]
        used = sum(
            max(0.0, sight.cpu_seconds - earlier.get(sight.pid, sight.cpu_seconds)) for sight in members
        )
        running = leader is not None and process.alive(leader)
        found.append(
            PartStatus(
                part=part.name,
                state=_state(place, part, running=running),
                address=f"{LOOPBACK}:{place.port(part.ports[0])}" if part.ports else "",
                pid=leader.pid if leader is not None and running else None,
                cpu_percent=round(100 * used / took, 1) if took else 0.0,
                memory_mb=round(sum(sight.memory_bytes for sight in members) / 1e6, 1),
            )
        )
    return found


def running(root: Path = DEFAULT_ROOT) -> bool:
    """Tell whether any process of a stack runs."""
    place = Place(root.absolute())
    return root.exists() and any(process.family(_leader(place, part), _mark(place, part)) for part in PARTS)


def pids(root: Path, part: str) -> list[int]:
    """Return the processes of a part, its first one first; for tests that kill and measure."""
    place = Place(root.absolute())
    found = _named(part)
    leader = _leader(place, found)
    members = [sight.pid for sight in process.family(leader, _mark(place, found))]
    return sorted(members, key=lambda pid: (leader is None or pid != leader.pid, pid))


def with_needs(names: Iterable[str]) -> list[Part]:
    """
    Return parts with all that they need, in order; raises `Forbidden` for a name that is none.

    >>> [part.name for part in with_needs(["prefect"])]
    ['database', 'prefect']
    """
    wanted: set[str] = set()
    waiting = [_named(name) for name in names]
    while waiting:
        part = waiting.pop()
        wanted.add(part.name)
        waiting += [_named(name) for name in part.needs if name not in wanted]
    return [part for part in PARTS if part.name in wanted]


def _named(name: str) -> Part:
    """Return the part of a name."""
    for part in PARTS:
        if part.name == name:
            return part
    known = ", ".join(part.name for part in PARTS)
    raise Forbidden(f"There is no part {name!r}.", rule="STACK-PARTS", way_out=f"The parts are: {known}.")


def _choose(place: Place, wanted: Sequence[Part], settings: Mapping[str, str]) -> None:
    """Choose ports for the parts that have none they can use, and write the settings file."""
    memory = place.remembered()
    ports = dict(memory.ports)
    for part in wanted:
        runs = bool(process.family(_leader(place, part), _mark(place, part)))
        for name in part.ports:
            if name not in ports or not (runs or _free(ports[name])):
                ports[name] = _free_port(taken=ports.values())
    names = {*memory.parts, *(part.name for part in wanted)}
    kept = [part for part in PARTS if part.name in names]
    own = {**memory.settings, **settings}
    place.remember(Memory(ports=ports, parts=tuple(part.name for part in kept), settings=own))
    lines: dict[str, str] = {}
    for part in kept:
        lines |= part.settings(place)
    write_private(place.settings_file, settings_lines(lines | own))


def _free(port: int) -> bool:
    """Tell whether a server could listen at a port."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closing connection is no server
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_port(*, taken: Iterable[int]) -> int:
    """Return a port that nobody listens at; raises `Unavailable` when there is none."""
    avoided = set(taken)
    candidates = [port for port in _PORT_RANGE if port not in avoided]
    for port in random.sample(candidates, k=min(500, len(candidates))):
        if _free(port):
            return port
    raise Unavailable(f"no free port was found between {_PORT_RANGE.start} and {_PORT_RANGE.stop}")


def _start_all(place: Place, wanted: Sequence[Part], started: list[Part], tell: Tell) -> None:
    """Start parts as soon as what they need is ready, and return when all are."""
    waiting, starting, done = list(wanted), {}, set[str]()  # type: list[Part], dict[str, float], set[str]
    while waiting or starting:
        for part in [part for part in waiting if done.issuperset(part.needs)]:
            waiting.remove(part)
            if _begin(place, part, started):
                tell(f"{part.name}: starting")
            starting[part.name] = time.monotonic() + _START_PATIENCE
        for part in [part for part in wanted if part.name in starting]:
            if part.command(place) is not None and not process.alive(_leader(place, part)):
                said = f"{part.name} ended right after its start: {_last_words(place, part)}"
                taken = any(_TAKEN in line.lower() for line in _log_end(place, part))
                raise PortTaken(said) if taken else Broken(said)
            if part.ready(place):
                _must_be_ours(place, part)
                if part in started:
                    part.settle(place)
                    tell(f"{part.name}: ready")
                done.add(part.name)
                del starting[part.name]
            elif time.monotonic() > starting[part.name]:
                raise Unavailable(
                    f"{part.name} is not ready after {_START_PATIENCE:.0f} s: {_last_words(place, part)}"
                )
        time.sleep(0.1)


def _must_be_ours(place: Place, part: Part) -> None:
    """Raise `PortTaken` when it is another program that answers at one of a part's ports."""
    members = process.family(_leader(place, part), _mark(place, part))
    strangers = process.strangers_at([place.port(name) for name in part.ports], [one.pid for one in members])
    if members and strangers:
        raise PortTaken(f"{part.name} cannot have its port {strangers[0]}: {_TAKEN}")


def _begin(place: Place, part: Part, started: list[Part]) -> bool:
    """Start a part unless it runs as it should; tell whether anything was done."""
    leader = _leader(place, part)
    note = place.root / "pids" / f"{part.name}.command"
    if leader is not None and process.alive(leader):
        expected = part.command(place)
        if expected is not None and note.exists() and note.read_text(encoding="utf-8") == expected.digest():
            return False
    elif part.command(place) is None and part.ready(place):
        return False
    started.append(part)  # before anything is done, so that an interruption undoes it
    _stop(place, part, patience=_STOP_PATIENCE)
    part.prepare(place)
    command = part.command(place)
    if command is not None:
        process.start(
            command, pid_file=place.pid_file(part.name), log=place.log(part.name), mark=_mark(place, part)
        )
        write_private(note, command.digest())
    return True


def _stop(place: Place, part: Part, *, patience: float) -> None:
    """End a part, and forget its process."""
    process.stop(_leader(place, part), _mark(place, part), by=part.stop_by, patience=patience)
    place.pid_file(part.name).unlink(missing_ok=True)


def _leader(place: Place, part: Part) -> process.Identity | None:
    """Return the process that a part was started as."""
    return process.read_identity(place.pid_file(part.name))


def _mark(place: Place, part: Part) -> str:
    """Return what every process of a part carries in its environment."""
    return process.mark_of(part.name, place.root)


def _state(place: Place, part: Part, *, running: bool) -> str:
    """Return the word for how a part is."""
    if part.command(place) is not None and not running:
        return "down"
    return "up" if part.ready(place) else "not ready"


def _cpu(place: Place, part: Part) -> dict[int, float]:
    """Return the processor seconds that each process of a part has used."""
    return {
        sight.pid: sight.cpu_seconds for sight in process.family(_leader(place, part), _mark(place, part))
    }


def _last_words(place: Place, part: Part) -> str:
    """Return the end of a part's log, on one line, and where the rest is."""
    lines = _log_end(place, part)
    return f"{lines[-1] if lines else 'it said nothing'} (see {os.path.relpath(place.log(part.name))})"


def _log_end(place: Place, part: Part) -> list[str]:
    """Return the last lines of a part's log."""
    log = place.log(part.name)
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
