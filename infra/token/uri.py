"""
How a key on a token is named: PKCS#11 URIs (RFC 7512), the part that is safe to write down.

Slot numbers are never used, because a module may number its slots anew at every start. The module's
path and the PIN come from the settings and from a person, never from a URI.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from infra.errors import Forbidden

#: The values that RFC 7512 §2.3 allows for `type`.
_TYPES = frozenset({"private", "public", "cert", "data", "secret-key"})

_SCHEME = "pkcs11:"
_WAY_OUT = "Name the key as pkcs11:token=…;serial=…;id=%01;type=private."


class BadTokenUri(Forbidden):
    """The name of a key cannot be used; the message says which part is wrong and never repeats a PIN."""

    def __init__(self, message: str) -> None:
        """Refuse with one sentence."""
        super().__init__(message, rule="RFC7512", way_out=_WAY_OUT)

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes."""
        return (type(self), (self.message,))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUri:
    """
    One object on one token. At least one of `token` and `serial` is given; so is one of `object` and `id`.

    >>> str(TokenUri.parse("pkcs11:token=Con%20d%E1%BA%A5u;id=%01%ab"))
    'pkcs11:token=Con%20d%E1%BA%A5u;id=%01%AB'
    """

    token: str | None = None  # CKA label of the token
    serial: str | None = None  # serial number of the token, the surest name
    object: str | None = None  # CKA_LABEL of the object
    id: bytes | None = None  # CKA_ID of the object
    type: str | None = None  # "private", "cert", …

    @classmethod
    def parse(cls, text: str) -> TokenUri:
        """
        Return what a URI names; raises `BadTokenUri` for anything that cannot be followed exactly.

        An attribute that is not understood is refused, not ignored: ignoring one could choose
        another key than the one that was meant. So is every query part (`pin-value`, `pin-source`,
        `module-path`).
        """
        if not text.startswith(_SCHEME):
            raise BadTokenUri("The name of the key does not start with pkcs11:")
        path, question, query = text.removeprefix(_SCHEME).partition("?")
        if question or query:
            raise BadTokenUri(
                "The name of the key has a query part; a PIN or a module path is never written there."
            )
        found = _attributes(path)
        uri = cls(
            token=_text("token", found.pop("token", None)),
            serial=_text("serial", found.pop("serial", None)),
            object=_text("object", found.pop("object", None)),
            id=found.pop("id", None),
            type=_text("type", found.pop("type", None)),
        )
        if found:
            raise BadTokenUri(
                f"The name of the key has parts that are not understood: {', '.join(sorted(found))}."
            )
        uri._check()
        return uri

    def _check(self) -> None:
        """Raise `BadTokenUri` unless this names a token and an object on it."""
        if not (self.token or self.serial):
            raise BadTokenUri("The name of the key says neither the token's label nor its serial number.")
        if not (self.object or self.id):
            raise BadTokenUri("The name of the key says neither the object's id nor its label.")
        if self.type is not None and self.type not in _TYPES:
            raise BadTokenUri("The name of the key has a type that RFC 7512 does not know.")

    def __str__(self) -> str:
        """Return the URI in its one normal form: fixed order, capitals in escapes."""
        parts = [
            f"{name}={quote(value, safe='')}"
            for name, value in (("token", self.token), ("serial", self.serial), ("object", self.object))
            if value is not None
        ]
        if self.id is not None:
            parts.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        if self.type is not None:
            parts.append(f"type={self.type}")
        return _SCHEME + ";".join(parts)


def _attributes(path: str) -> dict[str, bytes]:
    """Return the attributes of a path, percent-decoded; an attribute may occur once (RFC 7512 §2.3)."""
    found: dict[str, bytes] = {}
    for part in filter(None, path.split(";")):
        name, equals, value = part.partition("=")
        if not equals:
            raise BadTokenUri("The name of the key has a part without a value.")
        if name in found:
            raise BadTokenUri(f"The name of the key says {name} twice.")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, value: bytes | None) -> str | None:
    """Return a value as text; RFC 7512 §2.3 says UTF-8."""
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadTokenUri(f"The value of {name} in the name of the key is not UTF-8.") from error
