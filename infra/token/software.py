"""
A token without a device: the double of `infra.token.pkcs11`, for tests and trials.

Its keys lie in this process's memory, so it protects nothing. It can do what SoftHSM2 cannot: lock
itself after wrong PINs, and vanish when told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from infra.errors import Broken
from infra.token import KeyAbsent, KeyDescription, PinLocked, Token, TokenAbsent, WrongPin
from infra.token.uri import TokenUri


@dataclass(slots=True, kw_only=True)
class SoftwareDevice:
    """
    One device with its keys, its PIN and its counter of wrong tries.

    `present` may be set to `False` and back at any time. `vanish_after` makes the device absent after
    that many more signatures: the next one is not made.
    """

    label: str
    pin: str = field(repr=False)
    keys: dict[bytes, RSAPrivateKey] = field(default_factory=dict, repr=False)  # by CKA_ID
    tries_left: int = 3
    present: bool = True
    vanish_after: int | None = None
    attributes: Mapping[str, bool | None] = field(default_factory=dict)  # of its keys, where they differ
    pins_offered: int = 0  # how many times a PIN reached the device

    def open(self, uri: TokenUri | str, *, pin: str | None, certificate: bytes) -> Token:
        """Return a key, logged in; raises what `infra.token.pkcs11.open_token` raises."""
        if isinstance(uri, str):
            uri = TokenUri.parse(uri)
        self.must_be_present()
        if uri.token != self.label:
            raise TokenAbsent(f"No token answers to {uri}.")
        self._log_in(pin)
        key = self.keys.get(uri.id or b"")
        owner = x509.load_der_x509_certificate(certificate).public_key()
        if key is None or key.public_key() != owner:
            raise KeyAbsent(
                f"The key {uri} is absent or does not belong to the registered certificate.",
                rule="PKI-05",
                way_out="Register the certificate that belongs to the key on the token.",
            )
        return SoftwareToken(device=self, key=key, key_id=(uri.id or b"").hex(), certificate=certificate)

    def must_be_present(self) -> None:
        """Raise `TokenAbsent` while the device is away."""
        if not self.present:
            raise TokenAbsent("The device was taken away.")

    def _log_in(self, pin: str | None) -> None:
        """Offer a PIN once; every wrong one brings the device nearer to locking."""
        if self.tries_left == 0:
            raise PinLocked(
                "The device is locked.", rule="SIG-13", way_out="Ask for the device to be unlocked (CER-02)."
            )
        self.pins_offered += 1
        if pin != self.pin:
            self.tries_left -= 1
            raise WrongPin(
                "The device refused the PIN.",
                rule="SIG-13",
                way_out="Start again with the right PIN; a few wrong ones lock the token.",
            )
        self.tries_left = 3


class SoftwareToken:
    """One key of a `SoftwareDevice`; see `infra.token.Token` for what is promised."""

    def __init__(
        self, *, device: SoftwareDevice, key: RSAPrivateKey, key_id: str, certificate: bytes
    ) -> None:
        """Take over a key that was opened with the right PIN."""
        self._device = device
        self._key_id = key_id
        self._key: RSAPrivateKey | None = key
        self._certificate = certificate
        self._calls = 0

    @property
    def certificate(self) -> bytes:
        """The certificate (DER) registered for this key."""
        return self._certificate

    @property
    def calls(self) -> int:
        """How many signatures were asked of the key, kept or not."""
        return self._calls

    def sign(self, content: bytes) -> bytes:
        """Return the signature over the SHA-256 of `content`, or raise `TokenAbsent`."""
        if self._key is None:
            raise Broken("The token was closed before this signature was asked for.")
        self._calls += 1
        if self._device.vanish_after is not None:
            if self._device.vanish_after == 0:
                self._device.present = False
            else:
                self._device.vanish_after -= 1
        self._device.must_be_present()
        return self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())

    def describe(self) -> KeyDescription:
        """Return what a good device would say, with what the device was told to say differently."""
        if self._key is None:
            raise Broken("The token was closed before its key was asked about.")
        said: dict[str, bool | None] = {
            "private": True,
            "sensitive": True,
            "extractable": False,
            "always_sensitive": True,
            "never_extractable": True,
            "local": True,
            "sign": True,
            "always_authenticate": False,
        }
        label = self._device.label
        return KeyDescription(
            **{**said, **self._device.attributes},
            other_uses=(),
            key_id=self._key_id,
            device_serial=label,
            device_label=label,
            device_model="in memory",
            device_manufacturer="hoso",
        )

    def close(self) -> None:
        """Forget the key; closing twice is closing once."""
        self._key = None
