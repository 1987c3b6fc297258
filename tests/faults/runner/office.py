"""What the runner sees of the whole office, and the official who signs what is put before them."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

from tests.faults.runner.site import REASON, Site


class Office:
    """What the runner sees of all dossiers, read from the database twice a second, and who may sign what."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.stages: dict[str, str] = {}
        self.offered: set[str] = set()
        #: Held while somebody else needs the official's desk.
        self.signing = threading.Lock()
        self._stopping = threading.Event()
        works = (self._look, self._sign, self._mend)
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]

    def __enter__(self) -> Office:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(300)

    def _look(self) -> None:
        while not self._stopping.wait(0.5):
            try:
                self.stages = dict(self.site.ask("select code, stage from dossier"))  # type: ignore[arg-type]
            except Exception as error:
                self.site.journal.tell("note", what=f"look: {type(error).__name__}")

    def _sign(self) -> None:
        """Be the official: list what waits and was offered, and sign exactly that list."""
        chance = self.site.random("official")
        while not self._stopping.wait(1.0):
            codes = [code for code in sorted(self.offered) if self.stages.get(code) == "AwaitingSignature"]
            if codes:
                with self.signing:
                    self.sign(codes[:12], twice=chance.random() < 0.2)

    def _mend(self) -> None:
        """Be the engineer on duty: what stopped for a person is tried again a few times, with its cause written down."""
        tries: dict[str, int] = {}
        while not self._stopping.wait(5.0):
            try:
                stopped = self.site.ask(
                    "select dossier, last_error from outbox where last_error like 'needs attention:%%' or last_error like 'broken:%%'"
                )
                for code, error in stopped:
                    tries[code] = tries.get(code, 0) + 1
                    if tries[code] <= 6:
                        said = self.site.hoso("retry", code, "--why", REASON, by="mai")
                        self.site.journal.tell("retried", codes=[code], error=error[:300], code=said.code)
            except Exception as error:
                self.site.journal.tell("note", what=f"mend: {type(error).__name__}")

    def sign(self, codes: Sequence[str], *, twice: bool = False) -> bool:
        """Write a list and sign it; `twice` from two desks at the same moment."""
        only = [word for code in codes for word in ("--only", code)]
        listed = self.site.hoso("sign", "--list", *only, "--json", by="ha")
        if listed.code:
            return False
        digest = json.loads(listed.out)["digest"]
        words = (
            "sign",
            "--manifest",
            digest,
            "--pin-file",
            self.site.root / "secrets" / "pin_officials",
            "--json",
        )
        commands = [self.site.start(*words, by="ha") for _ in range(1 + twice)]
        ends = [(command.communicate()[1], command.returncode) for command in commands]
        said = [code for _, code in ends]
        if twice:
            self.site.journal.tell("fault", row="F11", what="list-signed-twice-at-once", ends=said)
        self.site.journal.tell("act", verb="sign", codes=list(codes), code=min(said, key=abs))
        return 0 in said

    def stage(self, code: str) -> str:
        """Return where a dossier stands now."""
        found = self.site.ask("select stage from dossier where code = %s", code)
        return str(found[0][0]) if found else ""
