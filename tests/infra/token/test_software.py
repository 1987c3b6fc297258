"""What the double can do and SoftHSM2 cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.token import PinLocked, TokenAbsent, WrongPin
from infra.token.software import SoftwareDevice

if TYPE_CHECKING:
    from tests.conftest import Authority

URI = "pkcs11:token=desk;id=%01"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def device(key: rsa.RSAPrivateKey) -> SoftwareDevice:
    return SoftwareDevice(label="desk", pin="2222", keys={b"\x01": key})


@pytest.fixture(scope="module")
def certificate(authority: Authority, key: rsa.RSAPrivateKey) -> bytes:
    return authority.issue("An", key.public_key())


def test_three_wrong_pins_lock_the_device_for_the_right_one_too(
    device: SoftwareDevice, certificate: bytes
) -> None:
    for _ in range(3):
        with pytest.raises(WrongPin):
            device.open(URI, pin="1111", certificate=certificate)
    with pytest.raises(PinLocked):
        device.open(URI, pin="2222", certificate=certificate)
    assert device.pins_offered == 3


def test_a_right_pin_gives_all_tries_back(device: SoftwareDevice, certificate: bytes) -> None:
    with pytest.raises(WrongPin):
        device.open(URI, pin="1111", certificate=certificate)
    device.open(URI, pin="2222", certificate=certificate)
    assert device.tries_left == 3


def test_a_device_vanishes_after_the_signatures_it_was_told(
    device: SoftwareDevice, certificate: bytes
) -> None:
    device.vanish_after = 2
    token = device.open(URI, pin="2222", certificate=certificate)
    token.sign(b"1")
    token.sign(b"2")
    with pytest.raises(TokenAbsent):
        token.sign(b"3")
    assert token.calls == 3
    device.present, device.vanish_after = True, None
    token.sign(b"3")
    assert device.pins_offered == 1
