"""
A key's proof that it is there: a signature over a line that nobody could take for a document.

The line begins with words that say what it is and ends with random bytes, so that the signature serves
nothing else and no older one serves for it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from infra.chance import random_bytes
from infra.token import KeyDescription, Token

#: What every test signature begins with.
PREFIX = b"hoso: a test signature, made to show that the key is there; it signs nothing.\n"
_NONCE = 32  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was signed, the signature, and what the token said of the key when it was made."""

    content: bytes
    signature: bytes
    key: KeyDescription

    def as_json(self) -> dict[str, object]:
        """Return it as a file of keys keeps it."""
        key = asdict(self.key)
        return {"content": _encoded(self.content), "signature": _encoded(self.signature), "key": key}

    @classmethod
    def from_json(cls, said: Mapping[str, object]) -> Proof:
        """Return what `as_json` wrote; raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        key = said["key"]
        if not isinstance(key, dict):
            raise TypeError("the description of the key is not one")
        described = KeyDescription(**{**key, "other_uses": tuple(key["other_uses"])})
        return cls(content=_decoded(said["content"]), signature=_decoded(said["signature"]), key=described)


def prove(token: Token) -> Proof:
    """Let a key make one test signature and return it with the key's description; raises what `Token.sign` raises."""
    content = PREFIX + random_bytes(_NONCE)
    described = token.describe()
    return Proof(content=content, signature=token.sign(content), key=described)


def proves(proof: Proof, certificate: bytes) -> bool:
    """Whether a proof is a test signature by the key of this certificate (DER)."""
    if not proof.content.startswith(PREFIX) or len(proof.content) != len(PREFIX) + _NONCE:
        return False
    key = x509.load_der_x509_certificate(certificate).public_key()
    if not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(proof.signature, proof.content, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _encoded(content: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(content).decode("ascii")


def _decoded(content: object) -> bytes:
    """Return the bytes of base64."""
    return base64.b64decode(str(content), validate=True)
