"""Tokens that lock, vanish, hang, ask on their own pad or every time, and die: told so by the shim."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from infra.environment import environment
from infra.errors import Broken
from infra.token import PinLocked, Token, TokenAbsent, TokenHung, WrongPin
from infra.token.process import has_pad, open_token, process_of
from infra.token.shim import Shim, compiler

if TYPE_CHECKING:
    from tests.conftest import Authority, SoftHsm

PIN = "428571"


class Bench:
    """A token of its own behind a shim of its own."""

    def __init__(self, softhsm: SoftHsm, authority: Authority, shim: Shim, label: str) -> None:
        self.softhsm = softhsm
        self.shim = shim
        self.uri = f"pkcs11:token={label};id=%01"
        softhsm.make_token(label)
        self.certificate = authority.issue(label, softhsm.make_key(label, "01"))

    def open(self, pin: str | None = PIN, *, seconds: float = 20.0, last_try: bool = False) -> Token:
        return open_token(
            self.uri,
            module=self.shim.module,
            softhsm2_conf=self.softhsm.conf,
            pin=pin,
            certificate=self.certificate,
            seconds=seconds,
            pad_seconds=seconds,
            last_try=last_try,
        )

    def anew(self) -> None:
        """Let the next key be opened by a process that knows nothing of the earlier ones."""
        process = process_of(self.shim.module, self.softhsm.conf)
        process.close()
        process.refused.clear()

    def verify(self, signature: bytes, content: bytes) -> None:
        key = x509.load_der_x509_certificate(self.certificate).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())


@pytest.fixture
def bench(
    softhsm: SoftHsm,
    authority: Authority,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    if compiler() is None:
        pytest.skip("not run: there is no C compiler to build the shim with")
    shim = Shim(folder=tmp_path / "shim", forwards_to=softhsm.module)
    shim.build()
    for name, value in shim.environment.items():
        monkeypatch.setenv(name, value)
    made = Bench(softhsm, authority, shim, f"p{abs(hash(request.node.name)) % 10**9}")
    yield made
    process_of(shim.module, softhsm.conf).close()


def process_number(bench: Bench) -> int:
    """Return the number of the process that asked the token last."""
    return int((bench.shim.folder / "calls").read_text().split()[-1])


def wait_for(what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def is_gone(number: int) -> bool:
    """Tell whether a process has ended."""
    try:
        return "State:\tZ" in Path(f"/proc/{number}/status").read_text()
    except FileNotFoundError:
        return True


def test_every_signature_and_login_that_reaches_the_token_is_counted(bench: Bench) -> None:
    token = bench.open()
    assert (bench.shim.count("login"), bench.shim.signatures) == (1, 0)
    for number in range(3):
        bench.verify(token.sign(b"%d" % number), b"%d" % number)
    assert (bench.shim.count("login"), bench.shim.signatures, token.calls) == (1, 3, 3)
    token.close()


def test_the_pin_is_in_no_argument_and_in_no_environment(bench: Bench) -> None:
    token = bench.open()
    token.sign(b"content")
    place = Path(f"/proc/{process_number(bench)}")
    assert process_number(bench) != os.getpid()
    seen = (place / "cmdline").read_bytes()
    if os.access(place / "environ", os.R_OK):
        seen += (place / "environ").read_bytes()
    assert PIN.encode() not in seen
    (core,) = [line for line in (place / "limits").read_text().splitlines() if "core file size" in line]
    assert core.split()[4:6] == ["0", "0"]
    token.close()


class TestAPad:
    """The token asks for the PIN itself (CKF_PROTECTED_AUTHENTICATION_PATH)."""

    def test_a_pin_that_is_typed_on_the_pad_opens_the_key(self, bench: Bench) -> None:
        assert not has_pad(bench.uri, module=bench.shim.module, softhsm2_conf=bench.softhsm.conf)
        bench.shim.tell("pad", PIN)
        assert has_pad(bench.uri, module=bench.shim.module, softhsm2_conf=bench.softhsm.conf)
        token = bench.open(None)
        bench.verify(token.sign(b"content"), b"content")
        token.close()

    def test_a_wrong_pin_on_the_pad_is_a_wrong_pin_and_another_try_is_a_persons(self, bench: Bench) -> None:
        bench.shim.tell("pad", "000000")
        with pytest.raises(WrongPin):
            bench.open(None)
        assert bench.shim.count("login") == 1
        bench.shim.tell("pad", PIN)
        bench.open(None).close()

    def test_a_pin_is_not_given_to_a_token_with_a_pad_nor_none_to_one_without(self, bench: Bench) -> None:
        with pytest.raises(WrongPin, match="no pad"):
            bench.open(None)
        bench.shim.tell("pad", PIN)
        with pytest.raises(WrongPin, match="on its own pad"):
            bench.open()
        assert bench.shim.count("login") == 0


class TestAKeyThatAsksEachTime:
    """CKA_ALWAYS_AUTHENTICATE: a login of its own between C_SignInit and C_Sign."""

    def test_the_pin_is_asked_once_and_given_for_every_signature(self, bench: Bench) -> None:
        bench.shim.tell("always")
        token = bench.open()
        for _ in range(3):
            bench.verify(token.sign(b"content"), b"content")
        assert (bench.shim.count("login"), bench.shim.count("login-again")) == (1, 3)
        token.close()

    def test_with_a_pad_the_pad_asks_for_every_signature(self, bench: Bench) -> None:
        bench.shim.tell("always")
        bench.shim.tell("pad", PIN)
        token = bench.open(None)
        for _ in range(2):
            bench.verify(token.sign(b"content"), b"content")
        assert (bench.shim.count("login"), bench.shim.count("login-again")) == (1, 2)
        assert bench.shim.signatures == 2
        bench.shim.tell("pad", "000000")
        with pytest.raises(WrongPin):
            token.sign(b"content")
        assert bench.shim.signatures == 2
        token.close()

    def test_softhsm_itself_is_satisfied(self, softhsm: SoftHsm, authority: Authority) -> None:
        label = "always"
        softhsm.make_token(label)
        tool = ("pkcs11-tool", "--module", str(softhsm.module), "--token-label", label)
        generate = ("--keypairgen", "--key-type", "rsa:2048", "--id", "01", "--usage-sign", "--always-auth")
        softhsm._run(*tool, "--login", "--pin", PIN, *generate)
        public = softhsm.public_key(label, "01")
        token = open_token(
            f"pkcs11:token={label};id=%01",
            module=softhsm.module,
            softhsm2_conf=softhsm.conf,
            pin=PIN,
            certificate=authority.issue(label, public),
        )
        assert "asks_each_time=True" in repr(token)
        for _ in range(2):
            public.verify(token.sign(b"content"), b"content", padding.PKCS1v15(), hashes.SHA256())
        token.close()


class TestTheTokenLocks:
    """A PIN is never tried again by itself, and the last try is a person's (SIG-13)."""

    def test_three_wrong_pins_lock_it_and_the_last_try_must_be_allowed(self, bench: Bench) -> None:
        bench.shim.tell("lock", 3)
        for wrong in ("000001", "000002"):
            with pytest.raises(WrongPin):
                bench.open(wrong)
            bench.anew()
        with pytest.raises(WrongPin, match="one try left"):
            bench.open()
        assert bench.shim.count("login") == 2
        with pytest.raises(WrongPin):
            bench.open("000003", last_try=True)
        assert bench.shim.count("login") == 3
        with pytest.raises(PinLocked):
            bench.open()
        assert bench.shim.count("login") == 3

    def test_a_pin_that_was_refused_is_not_offered_to_a_new_process_either(self, bench: Bench) -> None:
        with pytest.raises(WrongPin):
            bench.open("000001")
        process_of(bench.shim.module, bench.softhsm.conf).close()
        with pytest.raises(WrongPin, match="not tried again"):
            bench.open("000001")
        assert bench.shim.count("login") == 1


class TestTheTokenGoesAway:
    """It is looked for again; the key is opened again with the PIN that was accepted."""

    def test_a_token_that_vanishes_at_a_signature_works_again_when_it_is_back(self, bench: Bench) -> None:
        token = bench.open()
        bench.shim.tell("absent", 2)
        bench.verify(token.sign(b"1"), b"1")
        for _ in range(2):
            with pytest.raises(TokenAbsent):
                token.sign(b"2")
        bench.shim.let_be("absent")
        bench.verify(token.sign(b"2"), b"2")
        token.close()

    def test_a_module_that_crashes_takes_only_its_own_process_along(self, bench: Bench) -> None:
        token = bench.open()
        bench.shim.tell("die-during")
        with pytest.raises(TokenAbsent, match="-9"):
            token.sign(b"content")
        assert bench.shim.signatures == token.calls == 1
        bench.verify(token.sign(b"content"), b"content")
        token.close()


class TestTheTokenHangs:
    """C_Sign that never returns does not hold up whoever asked."""

    def test_the_process_that_asked_is_ended_and_the_token_is_left_alone_for_a_while(
        self, bench: Bench
    ) -> None:
        token = bench.open(seconds=2.0)
        bench.shim.tell("hang")
        with pytest.raises(TokenHung):
            token.sign(b"content")
        assert is_gone(process_number(bench))
        with pytest.raises(TokenAbsent, match="left alone"):
            token.sign(b"content")
        assert bench.shim.signatures == 1
        bench.shim.let_be("hang")
        answers: list[bytes] = []

        def it_works_again() -> bool:
            try:
                answers.append(token.sign(b"content"))
            except TokenAbsent:
                return False
            return True

        wait_for(it_works_again)
        bench.verify(answers[0], b"content")
        token.close()

    def test_it_does_not_outlive_who_started_it(self, bench: Bench) -> None:
        bench.shim.tell("hang")
        program = (
            "import sys; from pathlib import Path; from infra.token.process import open_token;"
            "token = open_token(sys.argv[1], module=Path(sys.argv[2]), softhsm2_conf=Path(sys.argv[3]),"
            " pin=sys.stdin.readline().strip(), certificate=bytes.fromhex(sys.argv[4])); token.sign(b'x')"
        )
        words = (bench.uri, str(bench.shim.module), str(bench.softhsm.conf), bench.certificate.hex())
        asking = subprocess.Popen(
            [sys.executable, "-c", program, *words], stdin=subprocess.PIPE, env=environment()
        )
        assert asking.stdin is not None
        asking.stdin.write(PIN.encode() + b"\n")
        asking.stdin.flush()
        wait_for(lambda: bench.shim.signatures == 1)
        number = process_number(bench)
        assert not is_gone(number)
        asking.send_signal(signal.SIGKILL)
        asking.wait()
        asking.stdin.close()
        wait_for(lambda: is_gone(number))

    def test_a_slow_token_is_waited_for(self, bench: Bench) -> None:
        token = bench.open()
        bench.shim.tell("slow", 300)
        bench.verify(token.sign(b"content"), b"content")
        token.close()


def test_after_a_fork_the_child_starts_a_process_of_its_own(bench: Bench) -> None:
    token = bench.open()
    token.sign(b"1")
    first = process_number(bench)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            own = bench.open()
            bench.verify(own.sign(b"2"), b"2")
            status = 0 if process_number(bench) != first else 2
            process_of(bench.shim.module, bench.softhsm.conf).close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    bench.verify(token.sign(b"3"), b"3")
    assert process_number(bench) == first
    token.close()


def test_a_closed_key_signs_no_more_in_any_process(bench: Bench) -> None:
    token = bench.open()
    token.close()
    with pytest.raises(Broken):
        token.sign(b"content")
    assert bench.shim.signatures == 0
