"""What every token promises: the double, a real SoftHSM2, and one in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from infra.errors import Broken
from infra.token import KeyAbsent, Token, TokenAbsent, WrongPin, process
from infra.token.pkcs11 import open_token
from infra.token.software import SoftwareDevice

if TYPE_CHECKING:
    from tests.conftest import Authority, SoftHsm

PIN = "428571"


@dataclass
class Desk:
    """A token with two keys, `%01` and `%02`, and the certificates that belong to them."""

    open: Callable[..., Token]
    label: str
    certificates: dict[str, bytes]

    def key(self, key_id: str = "01", *, pin: str = PIN, certificate: bytes | None = None) -> Token:
        return self.open(
            f"pkcs11:token={self.label};id=%{key_id};type=private",
            pin=pin,
            certificate=certificate or self.certificates[key_id],
        )


@pytest.fixture(scope="session")
def software_desk(authority: Authority) -> Desk:
    keys = {key_id: rsa.generate_private_key(65537, 2048) for key_id in ("01", "02")}
    device = SoftwareDevice(
        label="contract", pin=PIN, keys={bytes.fromhex(name): key for name, key in keys.items()}
    )
    return Desk(
        device.open, "contract", {name: authority.issue(name, key.public_key()) for name, key in keys.items()}
    )


@pytest.fixture(scope="session")
def softhsm_desk(authority: Authority, softhsm: SoftHsm) -> Desk:
    softhsm.make_token("contract")
    certificates = {name: authority.issue(name, softhsm.make_key("contract", name)) for name in ("01", "02")}
    opener = partial(open_token, module=softhsm.module, softhsm2_conf=softhsm.conf)
    return Desk(opener, "contract", certificates)


@pytest.fixture(scope="session")
def process_desk(softhsm: SoftHsm, softhsm_desk: Desk) -> Desk:
    opener = partial(process.open_token, module=softhsm.module, softhsm2_conf=softhsm.conf)
    return Desk(opener, "contract", softhsm_desk.certificates)


@pytest.fixture(params=["software", "softhsm", "process"])
def desk(request: pytest.FixtureRequest) -> Desk:
    found: Desk = request.getfixturevalue(f"{request.param}_desk")
    return found


def verify(certificate: bytes, signature: bytes, content: bytes) -> None:
    key = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())


def test_a_signature_verifies_with_the_registered_certificate(desk: Desk) -> None:
    token = desk.key()
    signature = token.sign(b"content")
    verify(token.certificate, signature, b"content")
    with pytest.raises(InvalidSignature):
        verify(token.certificate, signature, b"other content")
    token.close()


def test_opening_a_key_does_not_use_it_and_every_signature_is_counted(desk: Desk) -> None:
    token = desk.key()
    assert token.calls == 0
    for count in range(1, 4):
        token.sign(b"content")
        assert token.calls == count
    token.close()


def test_a_key_that_belongs_to_another_certificate_is_absent(desk: Desk) -> None:
    with pytest.raises(KeyAbsent):
        desk.key("01", certificate=desk.certificates["02"])


def test_a_key_that_is_not_on_the_token_is_absent(desk: Desk) -> None:
    with pytest.raises(KeyAbsent):
        desk.key("03", certificate=desk.certificates["01"])


def test_a_token_that_is_not_there_is_absent(desk: Desk) -> None:
    with pytest.raises(TokenAbsent):
        Desk(desk.open, "elsewhere", desk.certificates).key()


def test_a_wrong_pin_is_refused_and_named_nowhere(desk: Desk) -> None:
    with pytest.raises(WrongPin) as caught:
        desk.key(pin="000001")
    assert "000001" not in repr(caught.value) + str(caught.value)
    desk.key().close()


def test_two_keys_of_a_token_are_used_side_by_side(desk: Desk) -> None:
    first, second = desk.key("01"), desk.key("02")
    first.close()
    verify(second.certificate, second.sign(b"content"), b"content")
    second.close()


def test_a_closed_token_signs_no_more_and_may_be_closed_again(desk: Desk) -> None:
    token = desk.key()
    token.close()
    token.close()
    with pytest.raises(Broken):
        token.sign(b"content")
    assert token.calls == 0


def test_a_token_can_be_opened_again_after_it_was_closed(desk: Desk) -> None:
    desk.key().close()
    token = desk.key()
    verify(token.certificate, token.sign(b"content"), b"content")
    token.close()


def test_a_token_never_shows_its_pin(desk: Desk) -> None:
    token = desk.key()
    assert PIN not in repr(token) + str(token)
    token.close()
