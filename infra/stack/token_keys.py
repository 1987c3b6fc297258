"""
Make tokens, keys on them, and certificates for the keys.

Run as `python -m infra.stack.token_keys MODULE ENTRIES PKI SECRETS`, with `SOFTHSM2_CONF` in the
environment. Each step is done only if its result is not there, and an entry is written down
(`tokens.json`) when all of it is: after an interruption the next run goes on.
"""

from __future__ import annotations

import ctypes
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.errors import Broken
from infra.settings import read_secret
from infra.stack.authorities import Keeping, distinguished_name, issuing_authority, sources, usage
from infra.stack.certificates import Authority, certify, write_certificate
from infra.stack.layout import write_private

_HOLDER_DAYS = 1095


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Whose key it is, and on which token; the id is its CKA_ID, as text."""

    id: str
    token: str
    common_name: str
    organisation: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Where everything lies: the module, the list of entries, and the folders of certificates and secrets."""

    module: Path
    entries: Path
    pki: Path
    secrets: Path


def entries(keyring: Keyring) -> list[Entry]:
    """Return who holds keys, as the list says; raises `Broken` when it cannot be understood."""
    try:
        return [
            Entry(**entry) for entry in yaml.safe_load(keyring.entries.read_text(encoding="utf-8"))["keys"]
        ]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise Broken(f"{keyring.entries} cannot be read: {error}") from error


def missing_keys(keyring: Keyring) -> list[Entry]:
    """Return the entries that have no key, certificate and proof of both yet."""
    known = _written(keyring)
    return [entry for entry in entries(keyring) if "proof" not in known.get(entry.id, {})]


def make_missing(keyring: Keyring) -> None:
    """Give every entry its key and certificate; those that have them keep them."""
    missing = missing_keys(keyring)
    pins = {entry.token: read_secret(keyring.secrets / f"pin_{entry.token}") for entry in missing}
    for label, pin in pins.items():
        initialise_token(
            keyring.module, label, so_pin=read_secret(keyring.secrets / f"so_pin_{label}"), pin=pin
        )
    issuer = issuing_authority(Keeping(pki=keyring.pki, secrets=keyring.secrets))
    for entry in missing:
        public = make_key(keyring.module, entry, pins[entry.token])
        certificate = keyring.pki / f"{entry.id}.pem"
        write_certificate(certificate, _holder_certificate(entry, public, issuer))
        uri = f"pkcs11:token={entry.token};id=" + "".join(f"%{byte:02X}" for byte in entry.id.encode())
        proof = _proof(keyring.module, uri, pins[entry.token], certificate)
        said = {"uri": uri, "certificate": str(certificate), "proof": proof}
        known = _written(keyring) | {entry.id: said}
        write_private(keyring.pki / "tokens.json", json.dumps(known, indent=1) + "\n")
        print(f"made the key of {entry.id} on the token {entry.token}")


def _proof(module: Path, uri: str, pin: str, certificate: Path) -> dict[str, object]:
    """Let a new key show that it is there, for whoever binds it to an office later without its PIN."""
    from infra.token.pkcs11 import open_token
    from infra.token.proving import prove

    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    token = open_token(
        uri, module=module, pin=pin, certificate=found.public_bytes(serialization.Encoding.DER)
    )
    try:
        return prove(token).as_json()
    finally:
        token.close()


def _written(keyring: Keyring) -> dict[str, dict[str, object]]:
    """Return the entries that are complete."""
    try:
        found: dict[str, dict[str, object]] = json.loads(
            (keyring.pki / "tokens.json").read_text(encoding="utf-8")
        )
    except FileNotFoundError:
        return {}
    return found


def make_key(module: Path, entry: Entry, pin: str) -> rsa.RSAPublicKey:
    """Make an RSA-2048 key pair on the token, to sign with and never to be read; return its public half."""
    import pkcs11
    from pkcs11 import Attribute, KeyType, MechanismFlag

    token = pkcs11.lib(str(module)).get_token(token_label=entry.token)
    with token.open(rw=True, user_pin=pin) as session:
        # Left by a run that ended before the entry was written down: no certificate names it.
        for left in session.get_objects({Attribute.ID: entry.id.encode()}):
            left.destroy()
        public, _ = session.generate_keypair(
            KeyType.RSA,
            2048,
            id=entry.id.encode(),
            label=entry.common_name,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
        modulus, exponent = (
            int.from_bytes(public[name], "big") for name in (Attribute.MODULUS, Attribute.PUBLIC_EXPONENT)
        )
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _holder_certificate(entry: Entry, public: rsa.RSAPublicKey, issuer: Authority) -> x509.Certificate:
    """Return a certificate to sign documents with; poppler wants e-mail protection among the purposes."""
    subject = distinguished_name(
        {
            NameOID.COUNTRY_NAME: "VN",
            NameOID.ORGANIZATION_NAME: entry.organisation,
            NameOID.COMMON_NAME: entry.common_name,
        }
    )
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage("digital_signature", "content_commitment"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        (x509.SubjectAlternativeName([x509.RFC822Name(entry.email)]), False),
        *sources("issuing"),
    ]
    return certify(subject, public, by=issuer, days=_HOLDER_DAYS, extensions=extensions)


def initialise_token(module: Path, label: str, *, so_pin: str, pin: str) -> None:
    """
    Make a free slot a token with both PINs (PKCS#11 2.40 §5.5: C_InitToken, C_InitPIN); once.

    Must be called before python-pkcs11 opens the module. `softhsm2-util` would do the same, but takes PINs
    as arguments, which everybody on the machine can read, and python-pkcs11 has no call for it.
    """
    library = _Cryptoki(module)
    with library:
        found = [information for information in library.tokens() if information.label == label]
        if not found:
            free = next(one for one in library.tokens() if not one.flags & _Cryptoki.INITIALISED)
            library.initialise(free.slot, so_pin, label)
    with library:  # it numbers its slots anew when it is opened
        token = next(one for one in library.tokens() if one.label == label)
        if not token.flags & _Cryptoki.HAS_USER_PIN:
            library.set_pin(token.slot, so_pin, pin)


@dataclass(frozen=True, slots=True, kw_only=True)
class _TokenInformation:
    """What CK_TOKEN_INFO says of the token in a slot, as far as it is needed."""

    slot: int
    label: str
    flags: int


class _Cryptoki:
    """The few functions of a PKCS#11 module that initialise a token, by their C names."""

    #: CKF_USER_PIN_INITIALIZED and CKF_TOKEN_INITIALIZED.
    HAS_USER_PIN, INITIALISED = 0x08, 0x400
    _SERIAL_RW_SESSION, _SECURITY_OFFICER = 0x06, 0

    def __init__(self, module: Path) -> None:
        """Load the module."""
        self._module = ctypes.CDLL(str(module))

    def __enter__(self) -> None:
        """Open the module."""
        self._call("C_Initialize", None)

    def __exit__(self, *_: object) -> None:
        """Close the module."""
        self._call("C_Finalize", None)

    def tokens(self) -> list[_TokenInformation]:
        """Return what is in each slot; SoftHSM2 keeps one with an empty token ready to be made one."""
        count = ctypes.c_ulong(0)
        self._call("C_GetSlotList", ctypes.c_ubyte(1), None, ctypes.byref(count))
        slots = (ctypes.c_ulong * count.value)()
        self._call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        return [self._information(slot) for slot in slots]

    def _information(self, slot: int) -> _TokenInformation:
        """Read CK_TOKEN_INFO: the label is its first 32 bytes, padded with blanks; the flags are at 96."""
        raw = ctypes.create_string_buffer(512)
        self._call("C_GetTokenInfo", ctypes.c_ulong(slot), raw)
        flags = int.from_bytes(raw.raw[96 : 96 + ctypes.sizeof(ctypes.c_ulong)], sys.byteorder)
        return _TokenInformation(
            slot=slot, label=raw.raw[:32].decode("utf-8", "replace").rstrip(), flags=flags
        )

    def initialise(self, slot: int, so_pin: str, label: str) -> None:
        """Make the slot a token of this label, empty, with the security officer's PIN."""
        secret = so_pin.encode()
        padded = label.encode().ljust(32)
        self._call("C_InitToken", ctypes.c_ulong(slot), secret, ctypes.c_ulong(len(secret)), padded)

    def set_pin(self, slot: int, so_pin: str, pin: str) -> None:
        """Set the user's PIN, as the security officer."""
        session, secret, new = ctypes.c_ulong(0), so_pin.encode(), pin.encode()
        flags = ctypes.c_ulong(self._SERIAL_RW_SESSION)
        self._call("C_OpenSession", ctypes.c_ulong(slot), flags, None, None, ctypes.byref(session))
        officer = ctypes.c_ulong(self._SECURITY_OFFICER)
        self._call("C_Login", session, officer, secret, ctypes.c_ulong(len(secret)))
        self._call("C_InitPIN", session, new, ctypes.c_ulong(len(new)))
        self._call("C_CloseSession", session)

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a function of the module; raises `Broken` with its answer if that is not CKR_OK."""
        function = getattr(self._module, name)
        function.restype = ctypes.c_ulong
        if answer := function(*arguments):
            raise Broken(f"{name} answered 0x{answer:08X}")


if __name__ == "__main__":
    module_, entries_, pki_, secrets_ = map(Path, sys.argv[1:])
    make_missing(Keyring(module=module_, entries=entries_, pki=pki_, secrets=secrets_))
