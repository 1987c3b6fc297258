"""
Checkpoints: what somebody signs about the history, in a form that outlives this program.

The text is a C2SP tlog-checkpoint (name of the log, number of entries, root of the tree), signed as a C2SP
signed note with Ed25519. Both are short enough to print. https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.errors import Broken

_ED25519 = b"\x01"  # the signature type in a key's hash and in its printed form
_DASH = "\u2014"
_NAME = re.compile(r"[^\s+]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """That a history of this name has this many entries and this root."""

    log: str
    size: int
    root: bytes

    def text(self) -> str:
        """
        Return what is signed.

        >>> print(Checkpoint(log="hoso", size=0, root=bytes(32)).text(), end="")
        hoso
        0
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
        """
        return f"{self.log}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """The public half of a log's key, with the name that it signs under."""

    name: str
    key: bytes  # 32 bytes

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature line names this key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        """Return the key as it is handed out: `name+hash+base64`."""
        return f"{self.name}+{self.hash.hex()}+{base64.b64encode(_ED25519 + self.key).decode()}"

    @classmethod
    def parse(cls, printed: str) -> Verifier:
        """Return the key that `str` printed; raises `Broken` for anything else."""
        name, _, rest = printed.strip().partition("+")
        said, _, encoded = rest.partition("+")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise Broken("that is not a verifier key") from error
        found = cls(name=name, key=raw[1:])
        if raw[:1] != _ED25519 or len(raw) != 33 or found.hash.hex() != said or not _NAME.fullmatch(name):
            raise Broken("that is not a verifier key")
        return found

    @classmethod
    def of(cls, name: str, key: Ed25519PrivateKey) -> Verifier:
        """Return the public half of a signing key."""
        return cls(name=name, key=key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """Return the signed note of a checkpoint; the log's name is the signer's name."""
    return sign_text(checkpoint.text(), checkpoint.log, key)


def sign_text(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """
    Return a signed note of a text that ends with a newline, signed under a name.

    The name is part of what a verifier looks for, so one key under two names signs two kinds of notes,
    and none of the one kind is ever taken for one of the other.
    """
    if not _NAME.fullmatch(name):
        raise Broken(f"“{name}” cannot sign: a log's name has neither blanks nor plus signs")
    signature = Verifier.of(name, key).hash + key.sign(text.encode())
    return f"{text}\n{_DASH} {name} {base64.b64encode(signature).decode()}\n"


def opened(note: str, verifier: Verifier) -> Checkpoint:
    """
    Return the checkpoint of a note that this key has signed; other signatures on it are left aside.

    Raises `Broken` when the note is malformed, of another log, or not signed by this key.
    """
    checkpoint = _read(opened_text(note, verifier))
    if checkpoint.log != verifier.name:
        raise Broken(f"the checkpoint is of another history, {checkpoint.log}")
    return checkpoint


def opened_text(note: str, verifier: Verifier) -> str:
    """Return the text of a note that this key has signed under this name; raises `Broken` otherwise."""
    text, separator, lines = note.partition("\n\n")
    if not separator or not note.endswith("\n"):
        raise Broken("that is not a signed note")
    text += "\n"
    if not any(_signs(line, text, verifier) for line in lines.splitlines()):
        raise Broken(f"the note is not signed by {verifier.name}+{verifier.hash.hex()}")
    return text


def _signs(line: str, text: str, verifier: Verifier) -> bool:
    """Say whether a signature line is this key's, over this text."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or parts[1] != verifier.name:
        return False
    try:
        raw = base64.b64decode(parts[2], validate=True)
        if raw[:4] != verifier.hash:
            return False
        Ed25519PublicKey.from_public_bytes(verifier.key).verify(raw[4:], text.encode())
    except (binascii.Error, InvalidSignature, ValueError):
        return False
    return True


def _read(text: str) -> Checkpoint:
    """Return the checkpoint in a note's text; raises `Broken` unless it is exactly as `Checkpoint.text` writes it."""
    lines = text.split("\n")
    try:
        found = Checkpoint(log=lines[0], size=int(lines[1]), root=base64.b64decode(lines[2], validate=True))
    except (IndexError, ValueError) as error:
        raise Broken("the note holds no checkpoint") from error
    # Extension lines may follow; the three that count must be in their one form.
    if len(found.root) != 32 or not text.startswith(found.text()):
        raise Broken("the note holds no checkpoint")
    return found
