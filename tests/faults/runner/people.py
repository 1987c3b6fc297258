"""
One applicant and the clerks who serve them: how an act is typed, waited for, and typed again.

Whoever is told “not now” tries again a little later, as a person would; whoever does not know whether it was done
looks first. Some acts are typed at two desks at once, some are killed in the middle.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.faults.runner.office import Office
from tests.faults.runner.site import NOT_NOW, OFFICE, REFUSED, Said

#: Personal data of every applicant: none of it may be found in Prefect or in a log. The checker reads them here.
CANARY = {
    "name": "Khuất Thị Sơn Ca",
    "address": "Ngõ Họa Mi, xã Bình Liêu",
    "telephone": "0987 611 227",
}
IDENTITY = "02277619"

#: Stages behind the official's signature, or at an end.
SIGNED = ("AwaitingSeal", "Signed", "Returned", "Archived")
ENDED = ("Archived", "Declined", "Withdrawn", "Cancelled", "NoShow")


@dataclass(kw_only=True)
class Life:
    """One applicant, from the booking or the counter to the end that the seed chose."""

    office: Office
    number: int
    scans: Sequence[Path]
    hostile: Sequence[Path]
    kind: str
    random: random.Random
    code: str = ""
    #: Whether something happened that the program of this life did not foresee.
    strayed: str = ""
    _patience: float = 300.0
    _acts: int = field(default=0)

    @classmethod
    def beside(cls, office: Office, kind: str, scans: Sequence[Path], number: int) -> Life:
        """Return somebody who comes besides those that the seed gave, because a fault needs a dossier of its own."""
        chance = office.site.random(kind, number)
        return cls(office=office, number=number, scans=scans, hostile=(), kind=kind, random=chance)

    # Acts -----------------------------------------------------------------------------------------------

    def act(self, *words: object, by: str = "mai", done: Sequence[str] = (), **more: Any) -> bool:
        """
        Type a command until it is known to be done or refused; `done` are the stages that show that it was.

        One act in eight is typed at two desks at once, one in twenty-five is interrupted by `kill -9`.
        """
        site, end, unsure = self.office.site, time.monotonic() + self._patience, False
        self._acts += 1
        while True:
            said = self._typed(words, by)
            if said.code == 0 or (unsure and done and self.office.stage(self.code) in done):
                if self.code:
                    site.journal.tell("act", verb=str(words[0]), codes=[self.code], code=0, unsure=unsure)
                return True
            if said.code == REFUSED or time.monotonic() > end:
                what = said.err.strip().splitlines()[0][:200] if said.err.strip() else ""
                site.journal.tell("refused", verb=str(words[0]), codes=[self.code], code=said.code, said=what)
                return False
            if said.code not in (NOT_NOW, -9, 5):
                site.journal.tell("finding", what="a command ended strangely", verb=str(words[0]), code=said.code,
                                  said=said.err[-600:])  # fmt: skip
            if said.code == 5 and "stood by ended" not in said.err:
                site.journal.tell("finding", what="a command broke", verb=str(words[0]), said=said.err[-600:])
            unsure = True
            time.sleep(self.random.uniform(0.5, 1.5))

    def _typed(self, words: Sequence[object], by: str) -> Said:
        """Type once; or at two desks at the same moment; or be killed in the middle."""
        site, luck = self.office.site, self.random.random()
        if luck < 0.04:
            one = site.start(*words, by=by)
            time.sleep(self.random.uniform(0.02, 0.4))
            one.send_signal(signal.SIGKILL)
            one.communicate()
            site.journal.tell("fault", row="F1", what="command-killed", verb=str(words[0]))
            return Said(-9, "", "")
        if luck < 0.16 and words[0] not in ("hand-over",):
            both = [site.start(*words, by=by) for _ in range(2)]
            ends = [(*one.communicate(), one.returncode) for one in both]
            site.journal.tell("fault", row="F10", what="act-typed-twice-at-once", verb=str(words[0]),
                              ends=[code for _, _, code in ends])  # fmt: skip
            out, err, code = min(ends, key=lambda one: (one[2] != 0, one[2] == REFUSED, one[2]))
            return Said(code, out, err)
        return site.hoso(*words, by=by)

    def must_be_refused(self, *words: object, by: str = "mai") -> None:
        """Type something out of its order: a rule has to say no."""
        said = self.office.site.hoso(*words, by=by)
        self.office.site.journal.tell(
            "fault", row="F10", what="act-out-of-order", verb=str(words[0]), code=said.code
        )
        if said.code not in (REFUSED, NOT_NOW, -9):
            self.office.site.journal.tell("finding", what="an act out of order was not refused", words=[str(words[0])],
                                          codes=[self.code], code=said.code)  # fmt: skip

    def wait(self, *stages: str, patience: float = 0.0) -> bool:
        """Wait until the dossier stands at one of some stages; one that mail put off is left to itself before."""
        end = time.monotonic() + (patience or self._patience)
        while time.monotonic() < end:
            if self.office.stages.get(self.code) in stages:
                return True
            time.sleep(0.3)
        self.strayed = f"waited for {'/'.join(stages)} at {self.office.stages.get(self.code)}"
        self.office.site.journal.tell("stray", life=self.number, codes=[self.code], what=self.strayed)
        return False

    # Papers ---------------------------------------------------------------------------------------------

    def file(self, name: str, content: str) -> Path:
        """Write a private file of this life's."""
        path = self.office.site.folder / "desks" / f"{self.number}-{name}"
        path.write_text(content, encoding="utf-8")
        path.chmod(0o600)
        return path

    def applicant(self, mailbox: str = "sonca", *, account: bool = False) -> Path:
        """Write who applies; the mail sink fails as the mailbox is called."""
        lines = {**CANARY, "identity": f"{IDENTITY}{self.number:04d}", "email": f"{mailbox}@canary.example"}
        if account:
            lines["account"] = f"SC{self.number:06d}"
            del lines["email"]
        return self.file("applicant.yaml", "".join(f'{name}: "{said}"\n' for name, said in lines.items()))

    def originals(self, count: int = 1) -> list[object]:
        """Return the words for some originals, each of one page."""
        words: list[object] = []
        for n in range(count):
            words += ["--original", f"Giấy {n + 1}", self.random.choice(self.scans), "--pages", 1]
        return words

    def why(self) -> Path:
        """Write a reason."""
        return self.file("why.txt", "Lý do.")

    def paid(self) -> list[object]:
        """Return the words for the receipt of the fee."""
        return ["--paid", f"BL-{self.number}"]

    # Openings -------------------------------------------------------------------------------------------

    def opened(self, *words: object, by: str) -> bool:
        """Open a dossier, once however often it is typed, and learn its code."""
        request = f"faults-{self.office.site.seed}-{self.number}"
        done = self.act(*words, "--request-id", request, by=by)
        found = self.office.site.ask("select answer from command where request_id = %s", request)
        if found:
            self.code = str(found[0][0])
            self.office.site.journal.tell("opened", life=self.number, codes=[self.code], plan=self.kind)
            if done:
                self.office.site.journal.tell(
                    "act", verb=str(words[0]), codes=[self.code], code=0, unsure=False
                )
        return done and bool(self.code)

    def book(self, **more: Any) -> bool:
        """Book the slot of this life's number."""
        return self.opened(
            "book",
            "--office",
            OFFICE,
            "--applicant",
            self.applicant(**more),
            *self._slot(self.number),
            by="cong",
        )

    def _slot(self, number: int) -> list[object]:
        """Return the date and hour of one of the coming days' slots."""
        base = datetime.now(timezone(timedelta(hours=7))) + timedelta(days=1 + number // 60)
        return [
            "--date",
            f"{base:%Y-%m-%d}",
            "--hour",
            f"{8 + (number % 32) // 4:02d}:{15 * (number % 4):02d}",
        ]

    def walk_in(self, originals: int = 1, *, paid: bool = True, **more: Any) -> bool:
        """Come to the counter without an appointment."""
        receipt = ["--paid", f"BL-{self.number}"] if paid else []
        words = ("receive", "--walk-in", OFFICE, "--applicant", self.applicant(**more), *receipt)
        return self.opened(*words, *self.originals(originals), by="mai")

    # Ends -----------------------------------------------------------------------------------------------

    def sign(self) -> bool:
        """Be offered to the official until it is signed, sealed and released."""
        if not self.wait("AwaitingSignature", *SIGNED):
            return False
        self.office.offered.add(self.code)
        return self.wait("Signed", "Returned", "Archived", "Stopped")

    def end(self) -> None:
        """Be returned, and archived now; one in six waits for the night."""
        if not self.sign() or not self.wait("Returned", "Archived", patience=100.0):
            return
        if self.random.random() < 0.17:
            self.office.site.journal.tell("ends", codes=[self.code], at="Returned")
            return
        if self.act("archive", self.code, done=("Archived",)):
            self.wait("Archived")
