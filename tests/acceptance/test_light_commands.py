"""Acts at the counter load neither Prefect nor pyHanko nor a typesetter: they answer at once, whatever is down."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.services import using
from tests.world import VECTORS, World

HEAVY = ("prefect", "pyhanko", "typst", "pkcs11", "pikepdf", "alembic")

#: Runs one command and says on its last line which of the heavy packages it loaded.
DRIVER = f"""
import sys
from flows.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
finally:
    print("loaded:", *sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})))
"""

FILES = {"PERSON": str(VECTORS / "sen.yaml"), "REASON": str(VECTORS / "reason.txt")}


@pytest.fixture(scope="module")
def codes(running_world: World) -> dict[str, str]:
    """Dossiers that commands can be about; each is changed by one command only."""
    world = running_world
    with using(world.parts):
        office = world.office()
        names = ("receive", "decline", "withdraw", "stop", "ask", "look", "cancel", "leave-out")
        found = {
            "office": office,
            **{name: world.booked(office) for name in ("receive", "cancel", "decline")},
        }
        found |= {name: world.received(office) for name in names if name not in found and name != "leave-out"}
        found["leave-out"] = world.frozen(office)
        return found


@pytest.mark.parametrize(
    "words",
    [
        "book --office OFFICE --applicant PERSON",
        "receive CODE --by mai --original Giấy SCAN",
        "pay receive --receipt BL --by mai",
        "decline CODE --reason R1 --by mai",
        "withdraw CODE --why REASON --by mai",
        "stop CODE --why REASON --by mai",
        "ask CODE --missing REASON --by mai",
        "cancel CODE --by mai",
        "leave-out CODE 1 --why REASON --by ha",
        "status look",
        "show look",
        "list",
        "results",
        "register OFFICE",
        "procedure load",
    ],
    ids=lambda words: words.split()[0],
)
def test_an_act_loads_nothing_heavy(world: World, codes: dict[str, str], tmp_path: Path, words: str) -> None:
    scan = tmp_path / "1.jpg"
    scan.write_bytes(world.scan)
    command = words.split()
    places = {"CODE": codes.get(command[0], ""), "OFFICE": codes["office"], "SCAN": str(scan), **FILES}
    about = [places.get(word, codes.get(word, word)) if n else word for n, word in enumerate(command)]
    said = world.run_light(DRIVER, *about)
    assert said.code == 0, said.err
    assert said.out.splitlines()[-1].split() == ["loaded:"]
