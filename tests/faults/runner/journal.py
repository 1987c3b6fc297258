"""What the runner did and saw, one JSON object a line: all that the checker learns from it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any


class Journal:
    """A file of lines; each is written whole and at once, so that a killed runner leaves what it knew."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._began = time.monotonic()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", encoding="utf-8")

    @property
    def seconds(self) -> float:
        """Seconds since the journal was begun."""
        return time.monotonic() - self._began

    def tell(self, kind: str, **facts: Any) -> None:
        """Add one line."""
        line = json.dumps({"s": round(self.seconds, 2), "kind": kind, **facts}, ensure_ascii=False)
        with self._lock, self._file.open("a", encoding="utf-8") as out:
            out.write(line + "\n")
