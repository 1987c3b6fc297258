"""
Keys on tokens behind a PKCS#11 module (SoftHSM2, USB tokens, HSMs), driven with python-pkcs11.

How a module may be used at all, and who is logged in, is the matter of `infra.token.lane`; this is
one key: which one it is, whose it is, and its signatures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pkcs11
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pkcs11 import Attribute, Mechanism, ObjectClass, exceptions
from pkcs11.types import SignMixin

from infra.errors import Broken
from infra.token import KeyAbsent, KeyDescription
from infra.token.describing import describe_key
from infra.token.lane import GONE, STALE, WRONG_PIN, Login, Module, module_at, translated
from infra.token.pad import ask_again_on_the_pad
from infra.token.uri import TokenUri


def open_token(
    uri: TokenUri | str,
    *,
    module: Path,
    pin: str | None,
    certificate: bytes,
    softhsm2_conf: Path | None = None,
    last_try: bool = False,
) -> Pkcs11Token:
    """
    Return the key that `uri` names, logged in and proven to belong to `certificate` (DER).

    The proof compares the key's modulus with the certificate's and does not use the key. The PIN is
    offered at most once, and a PIN that was refused is not offered again by this process. When the
    process is logged in to the token already, the PIN must be the one that opened it. `None` is for a
    token with a pad of its own (`has_pad`), which asks for the PIN itself. `last_try` allows the try after
    which a wrong PIN locks the token. Raises `TokenAbsent`, `WrongPin`, `PinLocked`, `KeyAbsent`,
    `Broken` (module missing or misconfigured).
    """
    if isinstance(uri, str):
        uri = TokenUri.parse(uri)
    if uri.type not in (None, "private"):
        raise _key_absent("The name of the key names something else than a private key.")
    lane = module_at(module, softhsm2_conf=softhsm2_conf)
    return Pkcs11Token(module=lane, uri=uri, pin=pin, certificate=certificate, last_try=last_try)


def has_pad(uri: TokenUri | str, *, module: Path, softhsm2_conf: Path | None = None) -> bool:
    """Tell whether the PIN of a token is typed on the token itself; raises as `open_token` does."""
    if isinstance(uri, str):
        uri = TokenUri.parse(uri)
    lane = module_at(module, softhsm2_conf=softhsm2_conf)
    with lane.lane, translated(uri):
        return lane.has_pad(uri)


class Pkcs11Token:
    """One private key on a token; see `infra.token.Token` for what is promised."""

    def __init__(
        self, *, module: Module, uri: TokenUri, pin: str | None, certificate: bytes, last_try: bool
    ) -> None:
        """Log in and find the key; raises as `open_token` says."""
        self._module = module
        self._uri = uri
        self._pin = pin
        self._closed = False
        self._certificate = certificate
        self._public_key = _rsa_key(certificate)
        self._calls = 0
        self._login: Login | None = None
        self._key: SignMixin | None = None
        #: Whether the key asks for the PIN before every signature (CKA_ALWAYS_AUTHENTICATE).
        self.asks_each_time = False
        with module.lane, translated(uri):
            self._connect(last_try=last_try)

    def __repr__(self) -> str:
        """Name the key and nothing secret."""
        return f"<key {self._uri} after {self._calls} calls>"

    @property
    def certificate(self) -> bytes:
        """The certificate (DER) registered for this key."""
        return self._certificate

    @property
    def calls(self) -> int:
        """How many signatures were asked of the key, kept or not."""
        return self._calls

    def sign(self, content: bytes) -> bytes:
        """
        Return the signature over the SHA-256 of `content`, verified with the certificate.

        When the module has forgotten the session, it is built again once, with the PIN that was
        accepted before; a token that was gone is looked for again at the next call. A key that asks each
        time gets that PIN again, or the token's pad asks. Raises `TokenAbsent`, `WrongPin`, `PinLocked`,
        `KeyAbsent`, `Broken`.
        """
        with self._module.lane, translated(self._uri):
            self._module.must_be_ours()
            if self._closed:
                raise Broken("The token was closed before this signature was asked for.")
            self._calls += 1
            try:
                signature = self._use(content)
            except STALE:
                self._disconnect()
                signature = self._use(content)
            except (*GONE, *WRONG_PIN):
                self._disconnect()
                raise
        self._verify(signature, content)
        return signature

    def describe(self) -> KeyDescription:
        """Return what the token says of this key and of itself, on the session that is open."""
        with self._module.lane, translated(self._uri):
            self._module.must_be_ours()
            if self._closed or self._key is None or self._login is None:
                raise Broken("The token was closed before its key was asked about.")
            return describe_key(self._key, self._login.session.token)

    def close(self) -> None:
        """Log out, when no other key of the token is in use; closing twice is closing once."""
        with self._module.lane:
            self._closed = True
            self._pin = None
            self._key = None
            login, self._login = self._login, None
            if login is not None:
                self._module.leave(login)

    def _use(self, content: bytes) -> bytes:
        """Make one signature on a session that is alive."""
        if self._key is None or self._login is None or not self._login.alive:
            self._disconnect()
            self._connect(last_try=False)
        assert self._key is not None
        assert self._login is not None
        if not self.asks_each_time:
            return self._key.sign(content, mechanism=Mechanism.SHA256_RSA_PKCS)
        if self._pin is not None:
            return self._key.sign(content, mechanism=Mechanism.SHA256_RSA_PKCS, pin=self._pin)
        chunks = self._after_the_pad(self._login.session, content)
        return self._key.sign(chunks, mechanism=Mechanism.SHA256_RSA_PKCS)

    def _after_the_pad(self, session: pkcs11.Session, content: bytes) -> Iterator[bytes]:
        """Yield the content once the pad has asked: python-pkcs11 takes it when the operation has begun."""
        handle: int = session.handle  # type: ignore[attr-defined]
        ask_again_on_the_pad(self._module.path, handle)
        yield content

    def _connect(self, *, last_try: bool) -> None:
        """Log in, or join a login, and find the key."""
        login = self._module.join(self._uri, self._pin, last_try=last_try)
        try:
            self._key = _private_key(login.session, self._uri, self._public_key)
            self.asks_each_time = _asks_each_time(self._key)
        except BaseException:
            self._module.leave(login)
            raise
        self._login = login

    def _disconnect(self) -> None:
        """Give up a login that does not work any more, for every key that shares it."""
        self._key = None
        login, self._login = self._login, None
        if login is not None:
            self._module.drop(login)

    def _verify(self, signature: bytes, content: bytes) -> None:
        """Raise `Broken` unless the signature is one by the registered certificate."""
        try:
            self._public_key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise Broken("The token returned a signature that its certificate does not verify.") from error


def _private_key(session: pkcs11.Session, uri: TokenUri, public_key: RSAPublicKey) -> SignMixin:
    """Return the one private key that a URI names; raises `KeyAbsent` unless it is the certificate's."""
    template: dict[Attribute, object] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    if uri.id is not None:
        template[Attribute.ID] = uri.id
    if uri.object is not None:
        template[Attribute.LABEL] = uri.object
    # A search that is not read to its end would leave the session busy.
    keys = list(session.get_objects(template))
    if len(keys) != 1:
        raise _key_absent(f"The token holds {len(keys) or 'no'} private keys named {uri}.")
    key = keys[0]
    if not isinstance(key, SignMixin):
        raise _key_absent(f"The key {uri} may not sign.")
    if _modulus(key) != public_key.public_numbers().n:
        raise _key_absent(f"The key {uri} does not belong to the registered certificate.")
    return key


def _asks_each_time(key: SignMixin) -> bool:
    """Tell whether the key wants the PIN before every use; older modules do not know the question."""
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except (exceptions.AttributeTypeInvalid, exceptions.AttributeSensitive):
        return False


def _modulus(key: pkcs11.Object) -> int:
    """Return the modulus of an RSA private key, which PKCS#11 does not count as secret."""
    try:
        return int.from_bytes(key[Attribute.MODULUS], "big")
    except (exceptions.AttributeTypeInvalid, exceptions.AttributeSensitive) as error:
        raise _key_absent("The token does not show which certificate its key belongs to.") from error


def _rsa_key(certificate: bytes) -> RSAPublicKey:
    """Return the public key of a certificate; raises `KeyAbsent` for another kind of key than RSA."""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise Broken("The registered certificate cannot be read.") from error
    if not isinstance(key, RSAPublicKey):
        raise _key_absent("The registered certificate is not for an RSA key.")
    return key


def _key_absent(message: str) -> KeyAbsent:
    """Say that the key is not there, and what to do."""
    return KeyAbsent(
        message, rule="PKI-05", way_out="Register the certificate that belongs to the key on the token."
    )
