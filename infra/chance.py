"""The one door through which randomness comes in."""

from __future__ import annotations

import secrets
from uuid import UUID, uuid4


def random_bytes(length: int) -> bytes:
    """Return unpredictable bytes, fit for salts and keys."""
    return secrets.token_bytes(length)


def random_id() -> UUID:
    """Return a fresh identifier that nobody can guess."""
    return uuid4()
