"""A progress bar with rate and time left, for a person who waits at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown_to(what: str, whole: int) -> Iterator[Callable[[int], None]]:
    """Yield the same where somebody looks at the terminal, and what does nothing where nobody does."""
    if not sys.stderr.isatty():
        yield lambda _number: None
        return
    with bar(what, whole) as told:
        yield told


@contextmanager
def bar(what: str, whole: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that says how many of `whole` are done; the bar shows the rate and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import Task as Line

    class Rate(TextColumn):
        """How many a second."""

        def render(self, task: Line):  # type: ignore[no-untyped-def]
            """Return the rate as text."""
            from rich.text import Text

            return Text(f"{task.speed:.1f}/s" if task.speed else "")

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), Rate(""), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        line = shown.add_task(what, total=whole)
        yield lambda number: shown.update(line, completed=number)
