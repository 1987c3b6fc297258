"""One round of the post: what is due goes out, what waits comes in, and what came is answered."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from infra.axis import AxisRefused
from infra.errors import Unavailable
from tasks.exchange.looking import offices_here
from tasks.exchange.posting import post
from tasks.exchange.receiving import fetch_waiting

log = logging.getLogger("hoso.exchange")

#: How many packages are sent before what came is looked at.
_ROOM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round of the post did."""

    sent: int
    taken: int


def carry_post() -> Round:
    """
    Send what is due, take in what waits for each office of this system, and answer it.

    An axis that does not answer keeps nobody from sending inside this system, and an office that the axis does not
    know keeps no other from its post. Repeating is harmless. Raises `Unavailable` when the database is away.
    """
    sent = post(_ROOM)
    taken, came = 0, sent > 0
    for office in offices_here():
        try:
            found = fetch_waiting(office)
            taken += found.taken
            came = came or bool(found.taken or found.others)
        except AxisRefused as error:
            log.info("the axis hands out nothing for %s: %s", office, error.message)
        except Unavailable as error:
            log.warning("%s", error)
            came = True  # Of what was taken in before, nobody told.
            break
    if came:
        sent += post(_ROOM)
    return Round(sent=sent, taken=taken)
