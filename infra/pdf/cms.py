"""
The CMS object of a signature (RFC 5652, ETSI EN 319 122-1), encoded once a signer.

A PAdES level B signature keeps its time in the PDF, so the CMS objects of one signer differ in two
places only: the digest of the document and the value of the signature. pyHanko encodes one with
placeholders; for every document the two places are filled in. This takes a quarter of the time, and
the tests show that the bytes are the same as those of the general path, which everything else takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from asn1crypto import cms  # type: ignore[import-untyped]
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from infra.errors import Broken
from infra.pdf.trust import finish, parsed
from infra.token import Token

#: SHA-256 of every document and every certificate that is quoted in a signature.
DIGEST = "sha256"

_PLACE_OF_DIGEST = hashlib.sha256(b"the digest of the document comes here").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlankCms:
    """A CMS object of one signer, complete but for digest and signature value."""

    encoded: bytes
    attributes: bytes  # the signed attributes, as they are signed: a SET OF (RFC 5652 §5.4)
    digest_at: int  # offset in `encoded`
    digest_at_in_attributes: int
    value_at: int  # offset in `encoded`
    value_size: int  # bytes

    def fill(self, digest: bytes, sign: Callable[[bytes], bytes]) -> bytes:
        """Return the CMS object for a document's SHA-256; `sign` is called once, with the attributes."""
        value = sign(_put(self.attributes, self.digest_at_in_attributes, digest))
        if len(value) != self.value_size:
            raise Broken("The token returned a signature of another size than its certificate's key.")
        return _put(_put(self.encoded, self.digest_at, digest), self.value_at, value)


def _put(frame: bytes, at: int, piece: bytes) -> bytes:
    """Return the frame with a piece laid over it."""
    return frame[:at] + piece + frame[at + len(piece) :]


@lru_cache(maxsize=64)
def blank_cms(certificate: bytes, chain: tuple[bytes, ...]) -> BlankCms:
    """Return the blank of one signer, encoded at the first call."""
    signer = TokenSigner(certificate, chain, sign=None)
    whole = finish(signer.encode_blank())
    signed_attributes = whole["content"]["signer_infos"][0]["signed_attrs"].untag().dump()
    encoded = whole.dump()
    value = signer.place_of_value()
    return BlankCms(
        encoded=encoded,
        attributes=signed_attributes,
        digest_at=_only_place(_PLACE_OF_DIGEST, encoded),
        digest_at_in_attributes=_only_place(_PLACE_OF_DIGEST, signed_attributes),
        value_at=_only_place(value, encoded),
        value_size=len(value),
    )


def _only_place(piece: bytes, frame: bytes) -> int:
    """Return where a placeholder is; it must be there exactly once, or filling it in would be a guess."""
    if frame.count(piece) != 1:
        raise Broken("The CMS object does not hold its placeholder exactly once.")
    return frame.index(piece)


class TokenSigner(Signer):
    """pyHanko's signer for a key on a token. It holds no key; `sign` is the token's."""

    def __init__(
        self, certificate: bytes, chain: Sequence[bytes], *, sign: Callable[[bytes], bytes] | None
    ) -> None:
        """Quote the certificate and the chain above it, without its roots: a reader has those or trusts nothing."""
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple([parsed(link) for link in chain])
        super().__init__(signing_cert=parsed(certificate), cert_registry=store, embed_roots=False)
        self._sign = sign
        self._certificate = certificate
        self._chain = tuple(chain)

    @classmethod
    def of(cls, token: Token, chain: Sequence[bytes]) -> TokenSigner:
        """Return the signer for a token."""
        return cls(token.certificate, chain, sign=token.sign)

    def place_of_value(self) -> bytes:
        """Return a placeholder as long as a signature of this signer's RSA key."""
        size = parsed(self._certificate).public_key.byte_size
        return hashlib.shake_256(b"the value of the signature comes here").digest(size)

    async def encode_blank(self) -> cms.ContentInfo:
        """Return the CMS object with both placeholders, from pyHanko's general path."""
        return await super().async_sign(_PLACE_OF_DIGEST, DIGEST, dry_run=True, use_pades=True)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        """Return the token's signature over `data`, or a placeholder in a dry run."""
        if dry_run or self._sign is None:
            return self.place_of_value()
        if digest_algorithm != DIGEST:
            raise Broken(f"The token signs {DIGEST} only, not {digest_algorithm}.")
        return self._sign(data)

    async def async_sign(
        self, data_digest: bytes, digest_algorithm: str, *args: Any, **options: Any
    ) -> cms.ContentInfo:
        """Return the CMS object: the filled-in blank where that is the same, else pyHanko's own."""
        if self._sign is None or args or not self._is_plain(digest_algorithm, options):
            return await super().async_sign(data_digest, digest_algorithm, *args, **options)
        blank = blank_cms(self._certificate, self._chain)
        return cms.ContentInfo.load(blank.fill(data_digest, self._sign))

    def _is_plain(self, digest_algorithm: str, options: dict[str, Any]) -> bool:
        """Say whether a request is for plain level B, so that nothing but digest and value can differ."""
        known = {"use_pades", "timestamper", "signed_attr_settings"}
        settings = options.get("signed_attr_settings")
        return (
            digest_algorithm == DIGEST
            and set(options) <= known
            and options.get("use_pades") is True
            and options.get("timestamper") is None
            and (
                settings is None
                or (settings.cades_signed_attrs is None and settings.adobe_revinfo_attr is None)
            )
            and self.signed_attr_prov_spec is None
            and self.unsigned_attr_prov_spec is None
        )
