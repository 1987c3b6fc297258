"""
Keys that never leave their token.

A `Token` is one key on one PKCS#11 token, logged in. Nothing here knows PDF: the token signs bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from infra.errors import Forbidden, Unavailable


class TokenAbsent(Unavailable):
    """The token, or the connection to it, is gone; work waits until it is back."""


class TokenHung(TokenAbsent):
    """The token did not answer in time, and the process that asked it was ended."""


class WrongPin(Forbidden):
    """The token refused the PIN. Nobody tries again by itself: a token locks after a few tries."""


class PinNotTried(WrongPin):
    """The PIN was not even offered: it was refused before, the token has a pad, or one try is left."""


class PinLocked(Forbidden):
    """The token has locked itself after wrong PINs; only its officer can unlock it."""


class KeyAbsent(Forbidden):
    """The token holds no such key, or not the key that belongs to the registered certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """
    What a token says of one of its keys and of itself; `None` where it does not say.

    The key's attributes are those of PKCS#11 2.40 §4.9 (CKA_PRIVATE, CKA_SENSITIVE …), the token's are
    from CK_TOKEN_INFO. It is the token's own word: a device that lies is not found out by asking it.
    """

    private: bool | None
    sensitive: bool | None
    extractable: bool | None
    always_sensitive: bool | None
    never_extractable: bool | None
    local: bool | None  # made on this token
    sign: bool | None
    always_authenticate: bool | None
    other_uses: tuple[str, ...]  # "decrypt", "unwrap", "derive": what it may do besides signing
    key_id: str  # CKA_ID, hexadecimal
    device_serial: str
    device_label: str
    device_model: str
    device_manufacturer: str


class Token(Protocol):
    """One private key, ready to sign."""

    @property
    def certificate(self) -> bytes:
        """The X.509 certificate (DER) registered for this key."""
        ...

    def sign(self, content: bytes) -> bytes:
        """
        Return the RSA PKCS#1 v1.5 signature over the SHA-256 of `content`.

        Each call reaches the token once and is counted in `calls`. Raises `TokenAbsent`, `WrongPin`,
        `PinLocked`; never retries a PIN.
        """
        ...

    @property
    def calls(self) -> int:
        """How many times the key was used since the token was opened."""
        ...

    def describe(self) -> KeyDescription:
        """Return what the token says of this key and of itself; it does not use the key."""
        ...

    def close(self) -> None:
        """Log out; the token cannot be used afterwards."""
        ...
