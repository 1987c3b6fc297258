"""Reads a package again that was kept and held up."""

from __future__ import annotations

import tempfile
from pathlib import Path

from infra.axis import Waits
from infra.edxml.faults import Faulty
from infra.edxml.reading import read_package
from infra.edxml.splitting import Most, split
from infra.object_store import Stored
from infra.services import services
from tasks.dossier.papers import content_key, fetch_file
from tasks.exchange.arriving import Came
from tasks.exchange.judging import judge
from tasks.exchange.tables import ArrivalRow


def open_again(arrival: ArrivalRow) -> Came | None:
    """Return a held-up package as it was read when it came; `None` when the limits have changed since."""
    parts = services()
    with tempfile.TemporaryDirectory(prefix="hoso-read-") as name:
        package = fetch_file(arrival.store_key, arrival.sha256, Path(name) / "package.xml")
        try:
            opened = read_package(
                split(package, Path(name), Most(file_bytes=parts.settings.axis_limit_bytes))
            )
        except Faulty:
            return None
        judged = [judge(one.entry.name, one.part.path, one.part.sha256) for one in opened.attached]
    return Came(
        office=arrival.office,
        waits=Waits(
            axis_id=arrival.axis_id,
            kind="status" if arrival.kind == "status" else "edoc",
            sender=arrival.sender,
            sent_at=arrival.arrived_at,
            sha256=arrival.sha256,
            size=arrival.size,
        ),
        package=Stored(key=arrival.store_key, version_id="", sha256=arrival.sha256, size=arrival.size),
        opened=opened,
        judged=judged,
        files=[
            Stored(
                key=content_key(one.part.sha256), version_id="", sha256=one.part.sha256, size=one.part.size
            )
            for one in opened.attached
        ],
    )
