"""What may be relied upon of an axis, on the double and on the server of the stack."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from infra.axis import Axis, AxisRefused
from infra.axis.http import HttpAxis
from infra.axis.memory import Fault, MemoryAxis
from infra.clock import SystemClock
from infra.edxml.signature import sign_envelope
from infra.edxml.values import Organ, Response, Status
from infra.edxml.writing import write_status
from infra.errors import Unavailable
from tests.conftest import Authority
from tests.tasks.exchange.offices import AxisServer

KEY = rsa.generate_private_key(65537, 2048)
CERTIFICATE = Authority().issue("UBND xã A", KEY.public_key())


@dataclass
class Kept:
    axis: Axis
    will: Any

    def sends(self, folder: Path, key: str, sender: str = "H01.1", to: str = "H01.2") -> tuple[str, bytes]:
        """Send a status, which is the smallest package that there is."""
        answers = Response(organ=to, code=key, day=date(2026, 1, 1), document_id=f"{to},2026/01/01,{key}")
        status = Status(
            code="03", sender=Organ(code=sender), answers=answers, at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        path = folder / f"{key.replace('/', '-')}.xml"
        if not path.exists():
            write_status(
                status, path, sign=lambda e: sign_envelope(e, {}, certificate=CERTIFICATE, sign=_sign)
            )
        return self.axis.send(path, key=key, kind="status", sender=sender, to=[to]), path.read_bytes()


def _sign(content: bytes) -> bytes:
    return KEY.sign(content, padding.PKCS1v15(), hashes.SHA256())


@pytest.fixture(params=["double", "server"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "double":
        axis = MemoryAxis()
        names = {"lose-request": Fault.BEFORE, "lose-answer": Fault.AFTER, "twice": Fault.TWICE,
                 "damage": Fault.DAMAGE, "reorder": Fault.REORDER}  # fmt: skip
        yield Kept(axis, lambda *faults: [axis.fail_next(names[one]) for one in faults])
        return
    server = AxisServer(folder=tmp_path / "axis")
    server.start()
    try:
        yield Kept(HttpAxis(server.url, token_file=server.folder / "token"), server.will)
    finally:
        server.stop()


def test_what_is_sent_waits_until_it_is_confirmed(kept: Kept, tmp_path: Path) -> None:
    axis_id, content = kept.sends(tmp_path, "a/1")
    (waits,) = kept.axis.waiting("H01.2")
    assert (waits.axis_id, waits.kind, waits.sender, waits.size) == (axis_id, "status", "H01.1", len(content))
    assert (
        kept.axis.fetch(axis_id, "H01.2", tmp_path / "got")
        == waits.sha256
        == hashlib.sha256(content).hexdigest()
    )
    assert (tmp_path / "got").read_bytes() == content
    assert kept.axis.waiting("H01.1") == []
    kept.axis.confirm(axis_id, "H01.2", "done")
    kept.axis.confirm(axis_id, "H01.2", "done")
    assert kept.axis.waiting("H01.2") == []
    (sent,) = kept.axis.sent("H01.1", SystemClock().now() - timedelta(hours=1))
    assert (sent.key, dict(sent.states)) == ("a/1", {"H01.2": "done"})


def test_the_same_key_is_the_same_package_whatever_became_of_the_answer(kept: Kept, tmp_path: Path) -> None:
    kept.will("lose-answer")
    with pytest.raises(Unavailable):
        kept.sends(tmp_path, "a/1")
    first, _ = kept.sends(tmp_path, "a/1")
    assert kept.sends(tmp_path, "a/1")[0] == first
    assert len(kept.axis.waiting("H01.2")) == 1
    kept.will("lose-request")
    with pytest.raises(Unavailable):
        kept.sends(tmp_path, "a/2")
    assert len(kept.axis.waiting("H01.2")) == 1


def test_it_can_be_told_to_deliver_twice_out_of_order_and_damaged(kept: Kept, tmp_path: Path) -> None:
    kept.sends(tmp_path, "a/1")
    kept.will("twice")
    kept.sends(tmp_path, "a/2")
    in_order = [one.axis_id for one in kept.axis.waiting("H01.2")]
    assert len(in_order) == 3
    kept.will("reorder")
    assert [one.axis_id for one in kept.axis.waiting("H01.2")] == in_order[::-1]
    told = kept.axis.waiting("H01.2")[0]
    kept.will("damage")
    assert kept.axis.fetch(told.axis_id, "H01.2", tmp_path / "got") != told.sha256
    assert kept.axis.fetch(told.axis_id, "H01.2", tmp_path / "got") == told.sha256


def test_a_package_of_somebody_else_is_not_handed_out(kept: Kept, tmp_path: Path) -> None:
    axis_id, _ = kept.sends(tmp_path, "a/1")
    with pytest.raises(AxisRefused):
        kept.axis.fetch(axis_id, "H01.9", tmp_path / "got")


def test_the_server_refuses_what_is_no_package_and_a_sender_that_is_not_its_own(tmp_path: Path) -> None:
    server = AxisServer(folder=tmp_path / "axis")
    server.start()
    try:
        axis = HttpAxis(server.url, token_file=server.folder / "token")
        (tmp_path / "no.xml").write_text("no package")
        with pytest.raises(AxisRefused, match=r"M\.edXML"):
            axis.send(tmp_path / "no.xml", key="k", kind="edoc", sender="H01.1", to=["H01.2"])
        (tmp_path / "token").write_text("another system\n")
        server.lets_in(tmp_path / "token", "H01.5")
        other = Kept(HttpAxis(server.url, token_file=tmp_path / "token"), None)
        with pytest.raises(AxisRefused):
            other.sends(tmp_path, "a/1")
        assert other.sends(tmp_path, "a/2", sender="H01.5")[0]
    finally:
        server.stop()
