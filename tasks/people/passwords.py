"""Passwords and one-time codes: what is kept of them, and whether one is right."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from threading import Lock

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from infra.chance import random_bytes
from infra.errors import Forbidden
from infra.settings import Settings

#: OpenSSL lends a process a few threads for the lanes and gives up when they are taken; nor should many at
#: once take 64 MiB each.
_one_at_a_time = Lock()

#: Letters of the shortest password.
SHORTEST = 12


def check_strength(password: str, staff: str) -> None:
    """Refuse a password that is short, or made of one letter or of the staff code (LOGIN-04)."""
    said = _plain(password)
    if len(password) < SHORTEST or len(set(password)) < 5 or said.replace(staff.encode(), b"") == b"":
        raise Forbidden(
            f"the password is too easy to guess: it needs {SHORTEST} letters or more, five of them different.",
            rule="LOGIN-04",
            way_out="Take some words that nobody would put together.",
        )


def kept(password: str, chosen: Settings) -> str:
    """
    Return what is kept of a password: Argon2id (RFC 9106) in a PHC string, with a salt of 128 bits.

    Time and memory are the settings', by default the second choice of RFC 9106 §4: 64 MiB, 3 passes, 4 lanes.
    """
    made = Argon2id(
        salt=random_bytes(16),
        length=32,
        iterations=chosen.argon2_passes,
        lanes=chosen.argon2_lanes,
        memory_cost=chosen.argon2_memory_kib,
    )
    with _one_at_a_time:
        return made.derive_phc_encoded(_plain(password))


def nobodys(chosen: Settings) -> str:
    """Return what would be kept for somebody who does not exist: as costly to check, and never right."""
    cost = f"m={chosen.argon2_memory_kib},t={chosen.argon2_passes},p={chosen.argon2_lanes}"
    salt, made = (base64.b64encode(bytes(n)).decode().rstrip("=") for n in (16, 32))
    return f"$argon2id$v=19${cost}${salt}${made}"


def is_right(password: str, phc: str) -> bool:
    """Whether a password is the one that a PHC string was made of; compared in constant time."""
    try:
        with _one_at_a_time:
            Argon2id.verify_phc_encoded(_plain(password), phc)
    except InvalidKey:
        return False
    return True


def new_code() -> str:
    """
    Return a fresh one-time code of 100 bits, in groups that can be read aloud.

    >>> len(new_code())
    23
    """
    letters = base64.b32encode(random_bytes(13)).decode()[:20]
    return "-".join(letters[n : n + 5] for n in range(0, 20, 5))


def code_hash(code: str) -> str:
    """
    Return the hash by which a one-time code is known; small letters and spaces do not matter.

    >>> code_hash("abcde fghij") == code_hash("ABCDE-FGHIJ")
    True
    """
    return hashlib.sha256("".join(c for c in code.upper() if c.isalnum()).encode()).hexdigest()


def _plain(password: str) -> bytes:
    """Return a password's bytes, the same however its accents were typed."""
    return unicodedata.normalize("NFC", password).encode()
