"""
The pictures of the documentation: a morning at an office, as the Prefect UI shows it.

`python -m tests.browser.pictures [FOLDER]` brings a whole office up, lives through a morning, takes the pictures
(default folder: docs/pictures) and takes the office down. Nobody in it exists.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from infra.services import using
from infra.stack.layout import PROJECT
from tests.browser.chromium import Page, browser, program
from tests.browser.morning import Morning, live_through
from tests.conftest import Authority
from tests.flows.live import Live, live_office


def take(page: Page, office: Live, morning: Morning, folder: Path) -> list[Path]:
    """Take every picture and return the files."""
    ui, taken = office.settings.prefect_ui_url, []

    def picture(name: str, address: str, *wanted: str, height: int = 900) -> None:
        page.open(address, *wanted)
        taken.append(folder / f"{name}.png")
        page.picture(taken[-1], height=height)

    run = office.run_of(morning.archived)["id"]
    overdue = office.api("GET", "/deployments/name/overdue/overdue")["id"]
    key = "dossier-" + morning.archived.lower().replace(".", "-")
    waiting = f"{ui}/runs?state=AwaitingSignature&type=span&seconds=-31622400"
    picture("board", office.page_of("board"), "As of", "Open, by office", height=1240)
    picture("runs", f"{ui}/runs", morning.unpaid, "PaymentDue", height=1500)
    picture("runs-awaiting-signature", waiting, *morning.late, height=1100)
    picture("search", f"{ui}/runs?flow-run-search={morning.near[-5:]}", morning.near)
    picture("run", f"{ui}/runs/flow-run/{run}", "Archived", "Task Runs", height=620)
    picture("timeline", office.page_of(key), "dossier:archived", height=1500)
    picture("day-sheet", office.page_of("day-sheet"), "appointments", height=560)
    picture("batch", office.page_of("batch-1"), "reason", height=620)
    picture(
        "deployment", f"{ui}/deployments/deployment/{overdue}?tab=Description", "When it fails", height=720
    )
    return taken


def main() -> int:
    """Take the pictures; 77 where there is no browser."""
    if program() is None:
        print("not run: there is no Chromium on this machine; on Debian, apt-get install chromium")
        return 77
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="hoso-pictures-") as place,
        live_office(Path(place) / "stack", Authority()) as office,
        using(office.parts),
    ):
        morning = live_through(office)
        with browser() as page:
            for file in take(page, office, morning, folder):
                print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
