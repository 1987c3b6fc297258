"""The PKCS#11 adapter on a real SoftHSM2: logins, lost sessions, threads and forks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from infra.errors import Broken
from infra.token import PinLocked, Token, TokenAbsent, WrongPin
from infra.token.lane import translated
from infra.token.pkcs11 import open_token
from infra.token.uri import TokenUri

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library

    from tests.conftest import Authority, SoftHsm

PIN = "428571"


class Bench:
    """A token of its own for one test."""

    def __init__(self, softhsm: SoftHsm, authority: Authority, label: str) -> None:
        self.softhsm = softhsm
        self.uri = f"pkcs11:token={label};id=%01"
        before = set((softhsm.folder / "tokens").iterdir())
        softhsm.make_token(label)
        (self.folder,) = set((softhsm.folder / "tokens").iterdir()) - before
        self.certificate = authority.issue(label, softhsm.make_key(label, "01"))

    def open(self, pin: str = PIN) -> Token:
        return open_token(
            self.uri,
            module=self.softhsm.module,
            softhsm2_conf=self.softhsm.conf,
            pin=pin,
            certificate=self.certificate,
        )

    def verify(self, signature: bytes, content: bytes) -> None:
        key = x509.load_der_x509_certificate(self.certificate).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())


@pytest.fixture
def bench(softhsm: SoftHsm, authority: Authority, request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(softhsm, authority, f"t{abs(hash(request.node.name)) % 10**9}")
    yield made
    shutil.rmtree(made.folder, ignore_errors=True)


def library(bench: Bench) -> Library:
    """Return the module itself, behind the adapter's back."""
    return pkcs11.lib(str(bench.softhsm.module))


def test_a_wrong_pin_reaches_the_token_once_however_often_it_is_given(bench: Bench) -> None:
    with pytest.raises(WrongPin):
        bench.open("000001")
    # SoftHSM2 keeps no count, so the PIN itself is changed: a second try would now be a right one.
    bench.softhsm._run(
        "pkcs11-tool", "--module", str(bench.softhsm.module), "--token-label",
        TokenUri.parse(bench.uri).token or "", "--login", "--pin", PIN, "--change-pin", "--new-pin", "000001",
    )  # fmt: skip
    with pytest.raises(WrongPin, match="not tried again"):
        bench.open("000001")


def test_a_wrong_pin_is_refused_even_while_the_token_is_open(bench: Bench) -> None:
    token = bench.open()
    with pytest.raises(WrongPin):
        bench.open("000001")
    bench.verify(token.sign(b"content"), b"content")
    token.close()


def test_a_token_that_somebody_else_in_the_process_opened_is_usable(bench: Bench) -> None:
    lib = library(bench)
    lib.reinitialize()
    session = lib.get_token(token_label=TokenUri.parse(bench.uri).token).open(user_pin=PIN)
    token = bench.open()
    bench.verify(token.sign(b"content"), b"content")
    token.close()
    session.close()


def test_a_session_that_the_module_forgot_is_built_again(bench: Bench) -> None:
    token = bench.open()
    library(bench).reinitialize()
    bench.verify(token.sign(b"content"), b"content")
    assert token.calls == 1
    token.close()


def test_keys_that_share_a_lost_session_all_find_the_new_one(bench: Bench) -> None:
    first, second = bench.open(), bench.open()
    library(bench).reinitialize()
    for token in (first, second, first):
        bench.verify(token.sign(b"content"), b"content")
    first.close()
    bench.verify(second.sign(b"content"), b"content")
    second.close()


def test_a_token_that_went_away_is_found_again_when_it_is_back(bench: Bench) -> None:
    token = bench.open()
    away = bench.folder.with_name("away-" + bench.folder.name)
    outside = bench.softhsm.folder / away.name
    bench.folder.rename(outside)
    library(bench).reinitialize()
    with pytest.raises(TokenAbsent):
        token.sign(b"content")
    outside.rename(bench.folder)
    bench.verify(token.sign(b"content"), b"content")
    assert token.calls == 2
    token.close()


def test_threads_sign_at_the_same_time_without_harm(bench: Bench) -> None:
    tokens = [bench.open(), bench.open()]
    with ThreadPoolExecutor(4) as threads:
        signatures = list(threads.map(lambda number: tokens[number % 2].sign(b"%d" % number), range(200)))
    for number, signature in enumerate(signatures):
        bench.verify(signature, b"%d" % number)
    assert sum(token.calls for token in tokens) == 200
    for token in tokens:
        token.close()


def test_a_child_process_opens_its_own_and_cannot_use_its_parents(bench: Bench) -> None:
    token = bench.open()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            try:
                token.sign(b"content")
                status = 2
            except Broken:
                own = bench.open()
                bench.verify(own.sign(b"content"), b"content")
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    bench.verify(token.sign(b"content"), b"content")
    token.close()


def test_a_locked_token_says_so() -> None:
    with pytest.raises(PinLocked), translated(TokenUri.parse("pkcs11:token=a;id=%01")):
        raise pkcs11.exceptions.PinLocked


def test_a_process_has_one_softhsm_configuration(bench: Bench) -> None:
    other = bench.softhsm.folder / "other.conf"
    other.write_text(bench.softhsm.conf.read_text())
    bench.open().close()
    with pytest.raises(Broken):
        open_token(
            bench.uri,
            module=bench.softhsm.module,
            softhsm2_conf=other,
            pin=PIN,
            certificate=bench.certificate,
        )


def test_a_module_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(Broken, match=r"/nowhere/module\.so"):
        open_token(
            bench.uri,
            module=bench.softhsm.folder / "nowhere/module.so",
            pin=PIN,
            certificate=bench.certificate,
        )
