"""Our port for time-stamps, as pyHanko wants to be given one."""

from __future__ import annotations

from datetime import datetime

from asn1crypto import cms  # type: ignore[import-untyped]
from pyhanko.sign.timestamps import TimeStamper

from infra.errors import Broken
from infra.pdf.cms import DIGEST
from infra.timestamp import Timestamp, Timestamps

#: Bytes kept for a time-stamp's token, whose size nobody knows before it is there.
TOKEN_ROOM = 6_000


class PortStamper(TimeStamper):
    """pyHanko's time-stamper in front of our port; it remembers what it was given."""

    def __init__(self, timestamps: Timestamps, at: datetime) -> None:
        """Ask `timestamps`, as of `at`."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._timestamps, self._at = timestamps, at
        self.given: list[Timestamp] = []

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """Return a token over a digest; each call is one request."""
        if md_algorithm != DIGEST:
            raise Broken(f"time-stamps are over {DIGEST} here, not {md_algorithm}")
        stamp = self._timestamps.stamp(message_digest, at=self._at)
        self.given.append(stamp)
        return cms.ContentInfo.load(stamp.token)
