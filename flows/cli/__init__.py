"""
The command `hoso`: what people at the office, supervisors and devops type.

Acts at the counter import neither Prefect nor pyHanko, so that they answer within a second. Exit codes:
0 done, 1 a rule says no, 2 the command line is wrong, 4 a service does not answer, 5 something is broken.
"""

from __future__ import annotations

import gc
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache

import typer

from infra.errors import Forbidden, HosoError, Unavailable

app = typer.Typer(
    name="hoso",
    help="A dossier's life at a one-stop office, from the booked appointment to the archive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def hoso() -> None:
    """Do one thing in a dossier's life at a one-stop office, from the booked appointment to the archive."""


_LIKE_A_CODE = re.compile(r"[0-9A-Z.]+-\d{6,8}-\d{4,7}")

#: Which module adds which commands; only the one that is asked for is loaded, because loading costs time.
ROOMS = {
    "desks": ("desk",),
    "people": ("login", "logout", "whoami", "password", "person", "readings"),
    "booking": ("book", "move", "cancel", "no-shows"),
    "counter": ("receive", "supply", "pay", "examine", "correct"),
    "ordering": ("order",),
    "examining": ("decline", "ask", "withdraw", "stop", "resume"),
    "supervising": ("board", "postpone", "give-back"),
    "reporting": ("report",),
    "signing": ("sign", "leave-out"),
    "sealing": ("seal",),
    "authority": ("post", "mandate"),
    "explaining": ("signature",),
    "routes": ("route",),
    "issuing": ("withdraw-result", "resend", "correction", "standing"),
    "erasing": ("erase",),
    "reconciling": ("reconcile", "findings", "repair"),
    "returning": ("hand-over", "redirect", "confirm", "archive", "paper", "document"),
    "preserving": ("evidence-calendar",),
    "keeping": ("evidence", "hold", "destruction", "fixity"),
    "looking": ("status", "show", "list", "results"),
    "register": ("register",),
    "office": ("office",),
    "procedures": ("procedure",),
    "lives": ("lives",),
    "rounds": ("registration",),
    "registering": ("registration",),
    "consolidating": ("registration",),
    "exchanging": ("exchange",),
    "correspondence": ("exchange",),
    "verifying": ("verify",),
    "history": ("history",),
    "backups": ("backup", "restore"),
    "certificates": ("certificate", "token"),
    "impact": ("certificate",),
    "batching": ("batch",),
    "overriding": ("causes", "retry", "release", "maintenance"),
    "health": ("doctor", "metrics"),
    "releasing": ("deploy", "drain"),
    "operating": ("work", "project", "probe", "migrate", "demo", "bench", "bench-latency"),
}


def asked_for(words: Sequence[str]) -> str:
    """Return the command that a command line asks for; empty when it asks for none."""
    return next((word for word in words if not word.startswith("-")), "")


def built() -> Callable[..., object]:
    """Return the command line of the rooms that are loaded; it is built once for the same rooms."""
    return _built(frozenset(room for room in ROOMS if f"flows.cli.{room}" in sys.modules))


@cache
def _built(_: frozenset[str]) -> Callable[..., object]:
    """Build the command line of everything that was loaded into `app`."""
    return typer.main.get_command(app)


def main() -> None:
    """Run one command; errors become one sentence and an exit code."""
    gc.disable()  # Nothing that is loaded here is garbage; not looking for it saves an eighth of the time.
    rooms = [room for room, commands in ROOMS.items() if asked_for(sys.argv[1:]) in commands]
    for room in rooms or ROOMS:
        importlib.import_module(f"flows.cli.{room}")
    command = built()
    gc.freeze()  # Nor need anybody look for garbage among it when the command ends: another quarter.
    gc.enable()
    try:
        command(prog_name="hoso")
    except HosoError as error:
        say_error(error, about=_dossier_in(sys.argv[1:]))
        sys.exit(exit_code(error))
    except Exception:  # noqa: BLE001  A bug ends with the code of a bug, not with that of a refusal.
        traceback.print_exc()
        sys.exit(5)


def _dossier_in(words: list[str]) -> str:
    """Return the dossier code among the words of a command line, if there is one."""
    return next((word for word in words if _LIKE_A_CODE.fullmatch(word)), "")


def say_error(error: HosoError, *, about: str = "") -> None:
    """Print an error as the person at the counter needs it: which dossier, what, which rule, what may be done."""
    about = f"{about}: " if about and about not in str(error) else ""
    if isinstance(error, Forbidden):
        typer.secho(f"No: {about}{error.message} [{error.rule}]", err=True, fg="red", bold=True)
        typer.echo(error.way_out, err=True)
    else:
        kind = "Not now" if isinstance(error, Unavailable) else "Broken"
        typer.secho(f"{kind}: {about}{error}", err=True, fg="red", bold=True)


def exit_code(error: HosoError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, Forbidden):
        return 1
    return 4 if isinstance(error, Unavailable) else 5
