"""Single lives by the warm path, many at once: what a worker that is woken by each act carries in a second."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import Any

import pikepdf
from PIL import Image
from sqlalchemy import text

from flows.desks import OFFICE, officials_pin
from flows.latency import percentile
from infra.errors import Broken
from infra.services import services
from infra.settings import read_secret
from infra.stack.bench_sign import make_file
from tasks.archival.steps import ask_for_archive
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.scanning import Presented
from tasks.dossier.moves import Actor
from tasks.dossier.opening import Applicant, Opening
from tasks.signing.keys import official_key
from tasks.signing.steps import sign_original

#: Seconds after which a stage that should come is missed, for each dossier.
_PATIENCE = 60.0


def single_lives(count: int, mai: Actor) -> dict[str, Any]:
    """Receive, sign and archive so many dossiers one after the other, the warm worker carrying each on by itself."""
    scan = scan_of(0)
    began = time.perf_counter()
    codes = [_receive(number, scan, mai) for number in range(count)]
    _until(codes, "AwaitingSignature")
    with official_key(OFFICE, "ha", read_secret(officials_pin())) as key:
        for code in codes:
            sign_original(code, 1, key)
    _until(codes, "Returned")
    for code in codes:
        ask_for_archive(code)
    _until(codes, "Archived")
    wall = time.perf_counter() - began
    waits = _waits(codes)
    return {
        "n": count,
        "per_s": round(count / wall, 3),
        "received_to_frozen_p95_s": round(percentile(waits["copy:frozen"], 0.95), 2),
        "signed_to_released_p95_s": round(percentile(waits["document:validated"], 0.95), 2),
    }


def scan_of(number: int) -> bytes:
    """Return the colour scan of one of the plain loop's files, as a scanner gives it: a JPEG of 200 dpi."""
    with pikepdf.open(io.BytesIO(make_file(number))) as pdf:
        content = next(iter(pdf.pages[0].get_images().values())).read_raw_bytes()
    out = io.BytesIO()
    Image.open(io.BytesIO(content)).save(out, "JPEG", quality="keep", dpi=(200, 200))
    return out.getvalue()


def _receive(number: int, scan: bytes, mai: Actor) -> str:
    """Receive one dossier."""
    who = Applicant(name="Người Đo thử", identity=f"9{number:011d}", email="mot.minh@citizen.example")
    opening = Opening(office=OFFICE, procedure="e-copy", applicant=who)
    shown = [Presented(kind="Bằng tốt nghiệp", files=(("a.jpg", scan),))]
    return receive_walk_in(opening, shown, Receipt(paid="BL"), by=mai).code


def _until(codes: Sequence[str], stage: str) -> None:
    """Wait until every dossier has reached a stage; raises `Broken` when one does not."""
    _wait(lambda: _count(codes, stage) == len(codes), f"{stage} of {len(codes)} dossiers", len(codes))


def _wait(done: Callable[[], bool], what: str, count: int) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + _PATIENCE + 10 * count
    while not done():
        if time.monotonic() > deadline:
            raise Broken(f"{what} did not come; is the warm worker running?")
        time.sleep(0.2)


def _count(codes: Sequence[str], stage: str) -> int:
    """Return how many of some dossiers have reached a stage."""
    query = text("select count(*) from dossier where code = any(:c) and stage = :s")
    with services().database.transaction() as session:
        return int(session.connection().execute(query, {"c": list(codes), "s": stage}).scalar_one())


#: What follows on what, in the history.
_FOLLOWS = {"copy:frozen": "dossier:received", "document:validated": "signature:done"}


def _waits(codes: Sequence[str]) -> dict[str, list[float]]:
    """Return for each thing that follows how many seconds after its cause it came, for every dossier."""
    query = text("""
        select told->>'event' as event, told->>'dossier' as dossier, min(at) as at
        from (select convert_from(entry, 'UTF8')::jsonb as told, at from history_entry) as e
        where told->>'dossier' = any(:c) group by 1, 2
    """)
    with services().database.transaction() as session:
        rows = session.connection().execute(query, {"c": list(codes)})
        at = {(row.event, row.dossier): row.at for row in rows}
    return {
        after: [(at[after, code] - at[before, code]).total_seconds() for code in codes]
        for after, before in _FOLLOWS.items()
    }
