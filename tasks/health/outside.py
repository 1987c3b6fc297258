"""How the parts are that others run: database, store, authorities, mail, Prefect, token; each is really used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from urllib.parse import urlsplit

import httpx
from sqlalchemy import text
from sqlmodel import Session, col, select

from infra.certificates import path_of
from infra.chance import random_bytes
from infra.clock import SystemClock
from infra.errors import Forbidden, HosoError
from infra.object_store.probing import require_safe
from infra.services import Services, services
from tasks.certificates.choosing import signs_now
from tasks.certificates.tables import CertificateRow
from tasks.health.rules import Found, State, judge_clocks, ok, skipped

#: Seconds that a server may take for one answer to a look; the real work has more patience.
LIMIT = 6.0
_PROBE_KEY, _PROBE = "health/probe", b"?"


def look_at_database() -> Found:
    """See whether the database answers and lets a row be written; nothing is kept."""
    with services().database.transaction() as session:
        said = session.connection().execute(text("show server_version")).scalar_one()
        read_only = session.connection().execute(text("select pg_is_in_recovery()")).scalar_one()
    if read_only:
        return Found(
            state=State.FAILING,
            cause="the database only reads: it is a copy, or still recovers",
            remedy="Point HOSO_DATABASE_URL at the server that takes writes, or wait for the recovery's end.",
        )
    return ok(f"PostgreSQL {str(said).split()[0]} answers")


def look_at_store() -> Found:
    """Write and read a document, write a locked byte and try to delete it: the store must refuse (ARC-03)."""
    parts = services()
    parts.work.put(_PROBE_KEY, _PROBE, content_type="application/octet-stream")
    if parts.work.get(_PROBE_KEY) != _PROBE:
        return Found(
            state=State.FAILING,
            cause="the store gives back other bytes than it took",
            remedy="Stop the store and look at its disks; nothing it says may be believed.",
        )
    results = parts.archive.probe()
    require_safe(results)
    return ok(f"documents come back; {len(results)} attacks on a locked byte were refused")


def look_at_token() -> Found:
    """See whether the agency's tokens are plugged in at this machine; no PIN is tried."""
    parts = services()
    if parts.settings.seal_pin_file is None:
        return skipped("this machine holds no agency's token")
    with parts.database.transaction() as session:
        rows = _agencies(session)
    missing = []
    for row in rows:
        try:
            parts.has_pad(row.token_uri)
        except HosoError as error:
            missing.append(f"the agency of {row.office}: {_first(error)}")
    if missing:
        return Found(
            state=State.FAILING,
            cause="; ".join(missing[:3]),
            remedy="Plug the token in, or start its service; then “hoso causes” and “hoso retry --cause”.",
        )
    return ok(f"{len(rows)} tokens are there; their PINs were not tried")


def _agencies(session: Session) -> list[CertificateRow]:
    """Return the agencies' certificates that may sign now and whose key is on a token."""
    query = select(CertificateRow).where(CertificateRow.holder == "", CertificateRow.token_uri != "")
    return [
        row for row in session.exec(query.order_by(col(CertificateRow.office))) if signs_now(session, row)
    ]


def look_at_authority(rank: int) -> Callable[[], Found]:
    """Return the look at one time-stamping authority (0: the first): it stamps, and its own certificate is good."""

    def look() -> Found:
        parts = services()
        url = (parts.settings.tsa_url, parts.settings.tsa_second_url)[rank]
        if not url:
            return skipped("none is configured")
        made = parts.timestamps_of([url], seconds=LIMIT).stamp(random_bytes(32), at=SystemClock().now())
        return ok(f"{made.authority} stamps")

    return look


def look_at_revocation() -> Found:
    """Ask about a certificate that signs here, past every answer that is kept."""
    parts = services()
    with parts.database.transaction() as session:
        query = select(CertificateRow).where(col(CertificateRow.token_uri) != "")
        rows = [
            row
            for row in session.exec(query.order_by(CertificateRow.holder).limit(20))
            if signs_now(session, row)
        ]
    if not rows:
        return skipped("no certificate may sign, so nobody is asked")
    path = path_of(rows[0].der, known=parts.chain, anchors=parts.anchors)
    if path is None:
        return Found(
            state=State.FAILING,
            cause="a registered certificate leads to no trust anchor",
            remedy="Put the issuers' certificates into the folders of HOSO_TRUST_ANCHORS and chain.",
        )
    asked = parts.revocation_of(seconds=LIMIT)
    try:
        answer = asked.ask(path[0], issuer=path[1], at=SystemClock().now())
    finally:
        asked.close()
    if answer is None:
        return skipped("the certificates name nobody to ask")
    return ok(f"an answer came: {answer.status}")


def look_at_mail() -> Found:
    """Greet the mail server, encrypt and log in as the settings say; no message is sent."""
    trouble = services().mail.greet()
    if trouble is None:
        return ok("the mail server lets us in")
    return Found(
        state=State.FAILING,
        cause=f"the mail server does not let us in ({trouble.code or trouble.text})",
        remedy="Look at HOSO_SMTP_HOST, its password file and the way there; messages wait and are sent later.",
    )


def look_at_prefect() -> Found:
    """See whether the Prefect server answers, and whether a worker of its pool has reported lately."""
    url = services().settings.prefect_api_url
    if not url:
        return skipped("none is configured")
    with httpx.Client(timeout=LIMIT, trust_env=False) as client:
        client.get(f"{url}/health").raise_for_status()
        answer = client.post(f"{url}/work_pools/hoso/workers/filter", json={})
    if answer.status_code == httpx.codes.NOT_FOUND:
        return Found(
            state=State.FAILING,
            cause="the Prefect server knows nothing of us",
            remedy="Run “hoso deploy”; the dossiers' runs are made anew.",
        )
    online = sum(one.get("status") == "ONLINE" for one in answer.raise_for_status().json())
    if not online:
        return Found(
            state=State.FAILING,
            cause="Prefect answers, but no worker of the pool “hoso” does: no schedule is carried out",
            remedy="Start a worker of the pool (docs/operations.md, the parts).",
        )
    return ok(f"Prefect answers; {online} pool workers are there")


def look_at_clocks() -> Found:
    """Compare the clocks of this machine, the store and the first time-stamping authority with the database's."""
    parts = services()
    found = {"this machine": _against(parts, lambda: SystemClock().now())}
    ways: dict[str, Callable[[], datetime]] = {"store": lambda: _date_of_store(parts)}
    if parts.settings.tsa_url:
        ways["time-stamps"] = lambda: _time_of_authority(parts)
    for whose, read in ways.items():
        try:
            found[whose] = _against(parts, read)
        except (HosoError, httpx.HTTPError, ValueError):
            continue  # That it does not answer is said by its own look.
    return judge_clocks(found)


def _against(parts: Services, read: Callable[[], datetime]) -> float:
    """Return how many seconds a clock is ahead of the database's, less what reading it took; 0 within that."""
    before = parts.database.now()
    seen = read()
    after = parts.database.now()
    if seen < before:
        return (seen - before).total_seconds()
    return max(0.0, (seen - after).total_seconds())


def _date_of_store(parts: Services) -> datetime:
    """Return what the store's clock shows, to the second; half of one is added, as it was cut off."""
    scheme = "https" if parts.settings.s3_secure else "http"
    answer = httpx.head(f"{scheme}://{parts.settings.s3_endpoint}/", timeout=LIMIT, trust_env=False)
    return parsedate_to_datetime(answer.headers.get("date", "")).astimezone(UTC)


def _time_of_authority(parts: Services) -> datetime:
    """Return what the first authority's clock shows."""
    made = parts.timestamps_of([parts.settings.tsa_url], seconds=LIMIT)
    return made.stamp(sha256(_PROBE).digest(), at=SystemClock().now()).time


def _first(error: HosoError) -> str:
    """Return the sentence of an error, without its way out."""
    return error.message if isinstance(error, Forbidden) else str(error)


def host_of(url: str) -> str:
    """
    Return the host of an address, for people.

    >>> host_of("http://127.0.0.1:4200/api")
    '127.0.0.1:4200'
    """
    return urlsplit(url).netloc
