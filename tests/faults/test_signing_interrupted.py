"""Ctrl-C while a list is signed: a real SIGINT, to the command and everything that it started, as a terminal sends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import Any

from tests.faults.conftest import Desk, wait_for
from tests.faults.test_signing_killed import balanced, results


def interrupted(desk: Desk, digest: str, when: Any) -> tuple[list[dict[str, Any]], str]:
    """Sign a list until `when` is so, then press Ctrl-C; return what was printed: the outcomes and the complaint."""
    words = ("sign", "--manifest", digest, "--pin-file", desk.pin, "--json")
    signing = desk.start(*words, group=True)
    wait_for(when)
    os.killpg(signing.pid, signal.SIGINT)
    out, complaint = signing.communicate(timeout=60)
    assert signing.returncode == 130, complaint
    assert "Traceback" not in complaint
    assert subprocess.run(["pgrep", "-g", str(signing.pid)], capture_output=True).stdout == b""
    return json.loads(out), complaint


def test_in_a_document_nothing_is_half_done_and_the_same_list_goes_on(desk: Desk) -> None:
    """The token is being asked: the try is told as failed, and the next one signs that document again."""
    code, digest = desk.listed(2)
    desk.shim.tell("slow", 2500)
    outcomes, complaint = interrupted(desk, digest, lambda: desk.shim.signatures == 1)
    assert [one["result"] for one in outcomes] == ["not reached", "not reached"]
    assert outcomes[0]["why"] == "it was interrupted"
    assert "Stopped: 0 of 2 documents are signed." in complaint
    assert f"hoso sign --manifest {digest[:16]}" in complaint
    assert [one.standing for one in desk.world.originals(code)] == ["certified", "certified"]
    balanced(desk, code, steps=0, calls=1)
    desk.shim.let_be("slow")
    assert results(desk.sign(digest)) == ["signed", "signed"]
    balanced(desk, code, steps=2, calls=3)


def test_in_the_second_document_the_first_stays_signed(desk: Desk) -> None:
    """The first is kept although they are signed together; the next run signs only what was not reached."""
    code, digest = desk.listed(3)
    desk.shim.tell("slow", 1500)
    outcomes, complaint = interrupted(desk, digest, lambda: desk.shim.signatures == 2)
    assert [one["result"] for one in outcomes] == ["signed", "not reached", "not reached"]
    assert "Stopped: 1 of 3 documents are signed." in complaint
    assert [one.standing for one in desk.world.originals(code)] == ["approved", "certified", "certified"]
    ledger = desk.ledger(code)
    assert (ledger.kept, ledger.done, ledger.untold) == (1, 1, 0)
    desk.shim.let_be("slow")
    assert results(desk.sign(digest)) == ["signed before", "signed", "signed"]
    ledger = desk.ledger(code)
    assert (ledger.kept, ledger.done, ledger.untold) == (3, 3, 0)
    # The second had asked the token when it was interrupted, the third had not.
    assert (desk.shim.signatures, ledger.explained) == (4, 1)
