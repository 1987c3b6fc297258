"""
Processes that outlive the command that started them, and are never mistaken for others.

A process is known by its number *and* the moment it started (clock ticks since boot, `/proc/PID/stat`
field 22) in one boot of the machine: numbers are given out again, the three together are not.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.environment import environment
from infra.errors import Broken

#: Marks every process of a part, its children too, in their environment.
MARK = "HOSO_STACK_PART"

#: The process writes down who it is before it becomes the program, so that no interruption of the
#: starter can leave a process that nobody knows. `exec` keeps number and start time.
_LAUNCH = (
    'umask 077; cd "$1" && cat /proc/$$/stat /proc/sys/kernel/random/boot_id >"$2.new"'
    ' && mv "$2.new" "$2" && shift 2 && exec "$@"'
)

#: What a part must not inherit: settings of another installation, and what other programs listen to.
_NOT_INHERITED = ("HOSO_", "PREFECT_", "PG", "WEED_", "SOFTHSM2_", "MINIO_", "PYTEST_")

#: Zombie and dead: ended, though perhaps nobody has asked yet how.
_ENDED = "ZX"
#: The state of a socket that takes connections, as /proc/net/tcp writes it.
_LISTENS = "0A"

_LOG_LIMIT_BYTES = 20_000_000
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a part runs: the program with arguments, what it finds in its environment besides, its folder."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path

    def digest(self) -> str:
        """Return a short text that differs when anything of the command differs."""
        content = json.dumps([self.argv, sorted(self.environment.items()), str(self.folder)])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process, told from every other that has or will have its number."""

    pid: int
    started: int  # clock ticks since boot
    boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the system says of a process at one moment."""

    pid: int
    parent: int
    state: str
    started: int  # clock ticks since boot
    cpu_seconds: float
    memory_bytes: int


def mark_of(part: str, root: Path) -> str:
    """Return the mark of a part of the stack in a folder."""
    return f"{part}@{root}"


def clean_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a child: this one without other installations' settings, then the changes."""
    kept = {name: value for name, value in environment().items() if not name.startswith(_NOT_INHERITED)}
    return {**kept, **changes}


def see(pid: int) -> Sight | None:
    """Return what the system says of a process number now, or `None` if there is no such process."""
    try:
        return _parse(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _parse(stat: str) -> Sight:
    """
    Read one line of `/proc/PID/stat` (proc(5)); the name may hold spaces and brackets.

    >>> rest = "S 1 " + "0 " * 9 + "150 50 " + "0 " * 6 + "777 4096 10 0"
    >>> sight = _parse("42 (a (b) c) " + rest)
    >>> sight.pid, sight.parent, sight.state, sight.started
    (42, 1, 'S', 777)
    """
    fields = stat[stat.rindex(")") + 2 :].split()
    return Sight(
        pid=int(stat.split(" ", 1)[0]),
        parent=int(fields[1]),
        state=fields[0],
        started=int(fields[19]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND,
        memory_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def _runs(pid: int) -> bool:
    """Tell whether a process number belongs to a process that has not ended."""
    sight = see(pid)
    return sight is not None and sight.state not in _ENDED


def strangers_at(ports: Collection[int], pids: Iterable[int]) -> list[int]:
    """Return those of some ports (TCP, IPv4) at which somebody listens who is none of these processes."""
    listeners: dict[int, str] = {}
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        port = int(local.rpartition(":")[2], 16)
        if state == _LISTENS and port in ports:
            listeners[port] = f"socket:[{inode}]"
    try:
        held = {name for pid in pids for name in _open_files(pid)} if listeners else set()
    except PermissionError:
        return []  # Who may not look does not judge.
    return sorted(port for port, inode in listeners.items() if inode not in held)


def _open_files(pid: int) -> Iterator[str]:
    """Yield what a process has open, as the kernel names it; nothing once it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                yield os.readlink(entry)


def read_identity(pid_file: Path) -> Identity | None:
    """
    Return the process that a pid file names, running or not; `None` if no file names any.

    A damaged file is no hindrance: the processes of a part are found by their mark as well.
    """
    try:
        stat, _, boot = pid_file.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")
        found = _parse(stat)
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return Identity(pid=found.pid, started=found.started, boot=boot)


def alive(identity: Identity | None) -> bool:
    """Tell whether that very process still runs; a zombie does not, nor does its number's next owner."""
    if identity is None or identity.boot != _boot():
        return False
    sight = see(identity.pid)
    return sight is not None and sight.started == identity.started and sight.state not in _ENDED


def _boot() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM until a short passage is done; they arrive at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start(command: Command, *, pid_file: Path, log: Path, mark: str) -> Identity:
    """
    Start a process in a session of its own, and return it once it has written down who it is.

    Its output goes to the end of `log` (the old log is set aside when it is large). Raises `Broken`
    when the folder or the pid file cannot be used. An interrupted caller leaves either no process or
    one that its pid file names.
    """
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old.log"))
    pid_file.unlink(missing_ok=True)
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with uninterrupted():
        pid = os.posix_spawn(
            "/bin/sh",
            [
                "/bin/sh",
                "-c",
                _LAUNCH,
                "launch",
                str(command.folder),
                str(pid_file),
                *command.argv,
            ],
            {**clean_environment(command.environment), MARK: mark},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
        )
        while (identity := read_identity(pid_file)) is None:
            if os.waitpid(pid, os.WNOHANG)[0]:
                raise Broken(f"{command.argv[0]} could not be started, see {log}")
            time.sleep(0.005)
    return identity


def family(leader: Identity | None, mark: str) -> list[Sight]:
    """Return the processes of a part: the one started, its descendants, and whoever carries its mark."""
    sights = [sight for sight in map(see, _numbers()) if sight and sight.state not in _ENDED]
    members = {sight.pid for sight in sights if _marked(sight.pid, mark)}
    if leader is not None and alive(leader):
        members.add(leader.pid)
    grown = True
    while grown:
        children = {sight.pid for sight in sights if sight.parent in members} - members
        members |= children
        grown = bool(children)
    members.discard(os.getpid())
    return [sight for sight in sights if sight.pid in members]


def _numbers() -> Iterator[int]:
    """Return the numbers of all processes on the machine."""
    names = (entry.name for entry in Path("/proc").iterdir())
    return (int(name) for name in names if name.isdigit())


def _marked(pid: int, mark: str) -> bool:
    """Tell whether a process was started as, or by, the part with this mark."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # another user's, or already gone
        return False
    return f"{MARK}={mark}".encode() in environment.split(b"\0")


def stop(leader: Identity | None, mark: str, *, by: signal.Signals, patience: float) -> None:
    """
    End a part: ask its first process, wait up to `patience` seconds, then kill what is left of it.

    A part that does not run is no error. Only processes of that part are signalled.
    """
    if leader is not None and alive(leader):
        _signal([leader.pid], by)
        deadline = time.monotonic() + patience
        while alive(leader) and time.monotonic() < deadline:
            time.sleep(0.05)
            _reap(leader.pid)
    for round_ in range(100):
        left = family(leader, mark)
        if not left:
            return
        # What outlives its leader (a flow's own process, a database session) is asked once, then killed.
        _signal(
            [sight.pid for sight in left],
            signal.SIGTERM if round_ == 0 and not alive(leader) else signal.SIGKILL,
        )
        for _ in range(20):
            if not any(_runs(sight.pid) for sight in left):
                break
            time.sleep(0.05)
            for sight in left:
                _reap(sight.pid)
    raise Broken(f"processes of {mark} cannot be ended: {[sight.pid for sight in left]}")


def _signal(pids: Iterable[int], by: signal.Signals) -> None:
    """Send a signal to each process that still is."""
    for pid in pids:
        try:
            os.kill(pid, by)
        except ProcessLookupError:
            continue


def _reap(pid: int) -> None:
    """Take note of a child's end, so that it does not stay a zombie; others' children are left alone."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def listening_ports(pids: Sequence[int]) -> dict[int, str]:
    """
    Return the TCP ports that these processes listen on, each with its address, as the kernel tells.

    Sockets are matched by inode (`/proc/PID/fd`, `/proc/net/tcp`, `/proc/net/tcp6`, proc(5)), so that
    no port is missed because somebody forgot to write it down. Addresses are `127.0.0.1` or the
    kernel's hexadecimal for others.
    """
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    found: dict[int, str] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="utf-8").splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].rsplit(":", 1)
            if fields[3] == "0A" and fields[9] in inodes:  # 0A: LISTEN
                found[int(port, 16)] = "127.0.0.1" if address == "0100007F" else address
    return found


def _socket_inodes(pid: int) -> Iterator[str]:
    """Return the inodes of a process's sockets."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]
