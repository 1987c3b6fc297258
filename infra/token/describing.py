"""What a PKCS#11 token says of a key and of itself, read attribute by attribute."""

from __future__ import annotations

import pkcs11
from pkcs11 import Attribute, exceptions

from infra.token import KeyDescription

#: What a private key may do besides signing.
_OTHER_USES = {
    "decrypt": Attribute.DECRYPT,
    "unwrap": Attribute.UNWRAP,
    "derive": Attribute.DERIVE,
    "sign-recover": Attribute.SIGN_RECOVER,
}


def describe_key(key: pkcs11.Object, token: pkcs11.Token) -> KeyDescription:
    """Return what `token` says of one of its private keys; whoever calls holds the lane."""
    return KeyDescription(
        private=_flag(key, Attribute.PRIVATE),
        sensitive=_flag(key, Attribute.SENSITIVE),
        extractable=_flag(key, Attribute.EXTRACTABLE),
        always_sensitive=_flag(key, Attribute.ALWAYS_SENSITIVE),
        never_extractable=_flag(key, Attribute.NEVER_EXTRACTABLE),
        local=_flag(key, Attribute.LOCAL),
        sign=_flag(key, Attribute.SIGN),
        always_authenticate=_flag(key, Attribute.ALWAYS_AUTHENTICATE),
        other_uses=tuple(name for name, attribute in _OTHER_USES.items() if _flag(key, attribute)),
        key_id=bytes(key[Attribute.ID]).hex(),
        device_serial=token.serial.decode("utf-8", "replace").strip(),
        device_label=token.label,
        device_model=str(token.model).strip(),
        device_manufacturer=str(token.manufacturer_id).strip(),
    )


def _flag(key: pkcs11.Object, attribute: Attribute) -> bool | None:
    """Return one attribute, or `None` where the token does not know it."""
    try:
        return bool(key[attribute])
    except (exceptions.AttributeTypeInvalid, exceptions.AttributeSensitive, NotImplementedError):
        return None
