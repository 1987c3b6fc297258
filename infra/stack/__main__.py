"""
The command `python -m infra.stack`: up, down, status, and run (a command with the stack up).

Exit codes: 0 done, 1 something is wrong (one line says what), 130 interrupted; `status` exits 1 unless every
part is up, `run` with the code of its command.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from infra.environment import environment
from infra.errors import HosoError
from infra.stack import run

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; return its exit code."""
    chosen = _parser().parse_args(arguments)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    try:
        return int(chosen.does(chosen))
    except KeyboardInterrupt:
        _say("interrupted; what this command had started is ended")
        return _INTERRUPTED
    except (HosoError, OSError) as error:
        _say(str(error))
        return 1


def _interrupt(*_: object) -> None:
    """Treat being asked to end like Ctrl-C, so that everything is cleaned up in one way."""
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.stack", description="The embedded stack.")
    parser.add_argument("--root", type=Path, default=run.DEFAULT_ROOT, help="the stack's folder")
    commands = parser.add_subparsers(required=True, metavar="up | down | status | run")
    names = ",".join(part.name for part in run.PARTS)

    def command(name: str, does: object, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument("--root", type=Path, default=argparse.SUPPRESS, help="the stack's folder")
        one.set_defaults(does=does)
        return one

    up = command("up", _up, "Start what does not run, and wait until it is ready.")
    up.add_argument("--parts", default=names, help=f"which parts, with what they need (default: {names})")
    command("down", _down, "End everything; the data stays.")
    status = command("status", _status, "Say how each part is; exit 1 unless all are up.")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.add_argument("--seconds", type=float, default=5.0, help="how long to watch the processor")
    running = command(
        "run", _run, "Run a command with the stack up; interrupted, end what was started for it."
    )
    running.add_argument("--parts", default=names, help="which parts, with what they need")
    running.add_argument("command", nargs=argparse.REMAINDER, help="the command, after --")
    return parser


def _up(chosen: argparse.Namespace) -> int:
    """Start the stack."""
    print(f"settings: {run.up(chosen.root, chosen.parts.split(','), tell=_say)}")
    return 0


def _down(chosen: argparse.Namespace) -> int:
    """End the stack."""
    run.down(chosen.root, tell=_say)
    _say("down")
    return 0


def _run(chosen: argparse.Namespace) -> int:
    """Run a command with the stack up, and take a stack that was not up before down if interrupted."""
    was_running = run.running(chosen.root)
    try:
        settings = run.up(chosen.root, chosen.parts.split(","), tell=_say)
        command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
        child = subprocess.Popen(command, env=environment({"HOSO_ENV_FILE": str(settings)}))
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            raise
    except KeyboardInterrupt:
        if not was_running:
            run.down(chosen.root, patience=5, tell=_say)
        raise


def _status(chosen: argparse.Namespace) -> int:
    """Print how the parts are."""
    found = run.status(chosen.root, seconds=chosen.seconds)
    all_up = bool(found) and all(one.state == "up" for one in found)
    cpu, memory = sum(one.cpu_percent for one in found), sum(one.memory_mb for one in found)
    if chosen.json:
        total = {"cpu_percent": round(cpu, 1), "memory_mb": round(memory, 1)}
        print(json.dumps({"up": all_up, "parts": [asdict(one) for one in found], "total": total}, indent=1))
    elif not found:
        print("The stack was never started here; `make up` starts it.")
    else:
        row = "{:<13} {:<10} {:<17} {:>8} {:>8} {:>8}".format
        print(row("part", "state", "address", "pid", "CPU %", "MB"))
        for one in found:
            print(
                row(
                    one.part,
                    one.state,
                    one.address,
                    one.pid or "",
                    f"{one.cpu_percent:.1f}",
                    f"{one.memory_mb:.0f}",
                )
            )
        print(row("total", "up" if all_up else "not up", "", "", f"{cpu:.1f}", f"{memory:.0f}"))
        print("CPU % is of one core.")
    return 0 if all_up else 1


def _say(text: str) -> None:
    """Tell people what is being done; what programs read goes to the standard output."""
    print(f"stack: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
