"""
The one lane to a PKCS#11 module, and the logins that its keys share.

Three facts shape this module. python-pkcs11 initialises a library with `C_Initialize(NULL)`, which
promises it that one thread at a time will call, and then releases the interpreter's lock around each
call: two threads at once crash the process. So every call goes through `Module.lane`. A login belongs
to the process and the token, not to a session: so one session a token is kept, shared by all its keys
and closed by the last of them. And a child process must not use its parent's library: it is loaded,
or initialised anew, after the fork.

PKCS#11 has no time limits. Whoever must not wait for ever runs this in a process that can be killed,
as `infra.token.process` does.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pkcs11
from pkcs11 import TokenFlag, exceptions
from pkcs11.types import PROTECTED_AUTH

from infra.chance import random_bytes
from infra.errors import Broken
from infra.token import PinLocked, PinNotTried, TokenAbsent, WrongPin
from infra.token.uri import TokenUri

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library

#: The token or the way to it is gone. It is looked for again at the next call.
GONE = (
    exceptions.DeviceRemoved,
    exceptions.TokenNotPresent,
    exceptions.TokenNotRecognised,
    exceptions.DeviceError,
    exceptions.GeneralError,
    exceptions.FunctionFailed,
    exceptions.SlotIDInvalid,
)
#: The library forgot what we hold; nothing was signed, so building it again is safe.
STALE = (
    exceptions.SessionHandleInvalid,
    exceptions.SessionClosed,
    exceptions.ObjectHandleInvalid,
    exceptions.KeyHandleInvalid,
    exceptions.UserNotLoggedIn,
    exceptions.OperationActive,
)
#: The token says that the PIN is not the right one.
WRONG_PIN = (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLenRange)
_LOCKED_PIN = (exceptions.PinLocked, exceptions.PinExpired)

#: Keys the digests by which PINs are compared, so that they mean nothing outside this process.
_PROCESS_SECRET = random_bytes(32)
#: Stands for a PIN that this process never sees.
_ON_THE_PAD = b"typed on the pad"


class Login:
    """One logged-in session to one token, shared by the keys in use."""

    def __init__(self, session: pkcs11.Session, serial: bytes, pin: bytes) -> None:
        """Remember the session and a digest of the PIN that opened it."""
        self.session = session
        self.serial = serial
        self.pin = pin
        self.users = 0
        self.alive = True


class Module:
    """One PKCS#11 module in this process. Whoever calls a method holds `lane`."""

    def __init__(self, path: Path, library: Library, conf: Path | None) -> None:
        """Take over a library that was just loaded, or initialised anew after a fork."""
        self.lane = threading.RLock()
        self.path = path
        self.conf = conf
        self._library = library
        self._pid = os.getpid()
        self._logins: dict[bytes, Login] = {}
        self._refused: set[tuple[bytes, bytes]] = set()

    def must_be_ours(self) -> None:
        """Raise `Broken` in a process that was forked after the library was loaded."""
        if self._pid != os.getpid():
            raise Broken("A token that was opened before a fork must be opened again in the child.")

    def has_pad(self, uri: TokenUri) -> bool:
        """Tell whether the PIN of a token is typed on the token itself (CKF_PROTECTED_AUTHENTICATION_PATH)."""
        return TokenFlag.PROTECTED_AUTHENTICATION_PATH in self._find(uri).flags

    def join(self, uri: TokenUri, pin: str | None, *, last_try: bool = False) -> Login:
        """
        Return the token's login, made with this PIN if there was none; `None` lets the token's pad ask for it.

        A PIN that this process saw refused is refused here, without reaching the token. So is the try
        after which the token would lock itself, unless `last_try` says that somebody takes the risk.
        """
        token = self._find(uri)
        digest = _ON_THE_PAD if pin is None else hashlib.blake2b(pin.encode(), key=_PROCESS_SECRET).digest()
        if (token.serial, digest) in self._refused:
            raise _not_tried("The PIN was refused before; it is not tried again.")
        login = self._logins.get(token.serial)
        if login is None:
            login = Login(self._open(token, pin, digest, last_try=last_try), token.serial, digest)
            self._logins[token.serial] = login
        elif login.pin != digest:
            # The token would not look at the PIN, because this process is logged in already.
            raise _not_tried("The PIN is not the one that opened this token.")
        login.users += 1
        return login

    def leave(self, login: Login) -> None:
        """Log out when this was the last key in use."""
        login.users -= 1
        if login.users <= 0:
            self.drop(login)

    def drop(self, login: Login) -> None:
        """End a login for all its keys; what the library says about it no longer matters."""
        login.alive = False
        if self._logins.get(login.serial) is login:
            del self._logins[login.serial]
            if self._pid == os.getpid():
                with suppress(exceptions.PKCS11Error):
                    login.session.close()

    def _open(self, token: pkcs11.Token, pin: str | None, digest: bytes, *, last_try: bool) -> pkcs11.Session:
        """Open a session, offering the PIN once."""
        if TokenFlag.USER_PIN_LOCKED in token.flags:
            raise exceptions.PinLocked
        if TokenFlag.USER_PIN_FINAL_TRY in token.flags and not last_try:
            raise _not_tried(
                "The token has one try left before it locks itself.",
                way_out="Make sure of the PIN, then say “hoso sign --last-try”, or have the token unlocked (CER-02).",
            )
        if (pin is None) != (TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags):
            raise _not_tried(
                "The token has no pad to type the PIN on."
                if pin is None
                else "The PIN of this token is typed on its own pad.",
                way_out="Type it where “hoso sign” asks for it.",
            )
        try:
            return token.open(user_pin=PROTECTED_AUTH if pin is None else pin)
        except exceptions.UserAlreadyLoggedIn:
            # Somebody else in this process logged in; a session of ours shares it.
            return token.open()
        except WRONG_PIN:
            if pin is not None:
                self._refused.add((token.serial, digest))
            raise

    def _find(self, uri: TokenUri) -> pkcs11.Token:
        """Return the one token that a URI names."""
        found = self._matching(uri)
        if not found and not self._logins:
            # Libraries remember which tokens were there when they started. Nobody is disturbed by asking anew.
            self._library.reinitialize()
            found = self._matching(uri)
        if not found:
            raise TokenAbsent(f"No token answers to {uri}.")
        if len(found) > 1:
            raise Broken(
                f"{len(found)} tokens answer to {uri}; add the serial number to the name of the key."
            )
        return found[0]

    def _matching(self, uri: TokenUri) -> list[pkcs11.Token]:
        """Return the tokens present whose label and serial number are those of the URI."""
        tokens: list[pkcs11.Token] = []
        for slot in self._library.get_slots(token_present=True):
            # A token that is broken or was just pulled out is no reason not to find another one.
            with suppress(*GONE):
                tokens.append(slot.get_token())
        return [
            token
            for token in tokens
            if TokenFlag.TOKEN_INITIALIZED in token.flags
            and (uri.serial is None or token.serial == uri.serial.encode())
            and (uri.token is None or token.label == uri.token)
        ]


_modules: dict[Path, Module] = {}
_inherited: set[Path] = set()
_registry = threading.Lock()


def _after_fork() -> None:
    """Let a child process start with no module of its own."""
    global _registry
    _registry = threading.Lock()
    _inherited.update(_modules)
    _modules.clear()


os.register_at_fork(after_in_child=_after_fork)


def module_at(path: Path, *, softhsm2_conf: Path | None) -> Module:
    """
    Return this process's lane to a module, loading the library at the first call.

    `softhsm2_conf` is put into the environment before that, which is the only place where SoftHSM2
    looks. Raises `Broken` when the library is not there, does not start, or runs with another
    configuration already.
    """
    with _registry:
        module = _modules.get(path)
        if module is None:
            module = _modules[path] = _load(path, softhsm2_conf)
        elif module.conf != softhsm2_conf:
            raise Broken(
                f"{path} is loaded with another SoftHSM2 configuration; a process can have one only."
            )
        return module


def _load(path: Path, conf: Path | None) -> Module:
    """Load and initialise a library."""
    if not path.exists():
        raise Broken(f"There is no PKCS#11 module at {path}.")
    if conf is not None:
        if not conf.exists():
            raise Broken(f"There is no SoftHSM2 configuration at {conf}.")
        # A process of its own is told where it starts, and has no need of all settings.
        from infra.environment import export  # noqa: PLC0415

        export("SOFTHSM2_CONF", str(conf))
    try:
        library = pkcs11.lib(str(path))
        if path in _inherited:
            library.reinitialize()
            _inherited.discard(path)
    except exceptions.PKCS11Error as error:
        raise Broken(f"The PKCS#11 module {path} does not start: {type(error).__name__}.") from error
    return Module(path, library, conf)


_RIGHT_PIN = "Start again with the right PIN; a few wrong ones lock the token."


def _wrong_pin(message: str) -> WrongPin:
    """Say that the PIN is wrong, and what to do."""
    return WrongPin(message, rule="SIG-13", way_out=_RIGHT_PIN)


def _not_tried(message: str, *, way_out: str = _RIGHT_PIN) -> PinNotTried:
    """Say why a PIN was not offered to the token, and what to do."""
    return PinNotTried(message, rule="SIG-13", way_out=way_out)


@contextmanager
def translated(uri: TokenUri) -> Iterator[None]:
    """Turn what the library says into a decision. Its messages are empty and hold no PIN."""
    try:
        yield
    except WRONG_PIN as error:
        raise _wrong_pin(f"The token of {uri} refused the PIN.") from error
    except _LOCKED_PIN as error:
        raise PinLocked(
            f"The token of {uri} is locked or its PIN has expired.",
            rule="SIG-13",
            way_out="Ask for the device to be unlocked (CER-02), then start again.",
        ) from error
    except exceptions.FunctionCancelled as error:
        raise _wrong_pin(f"Nobody typed the PIN on the pad of the token of {uri}.") from error
    except (*GONE, *STALE) as error:
        raise TokenAbsent(f"The token of {uri} does not answer ({type(error).__name__}).") from error
    except exceptions.PKCS11Error as error:
        raise Broken(f"The token of {uri} failed with {type(error).__name__}.") from error
