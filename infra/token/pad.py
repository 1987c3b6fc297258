"""
Asking for a PIN on the token's own pad, for a key that wants it before every signature.

PKCS#11 2.40 §5.6 (C_Login): a token with CKF_PROTECTED_AUTHENTICATION_PATH is given no PIN but NULL, and a key
with CKA_ALWAYS_AUTHENTICATE wants a login of the type CKU_CONTEXT_SPECIFIC between C_SignInit and the
signature. python-pkcs11 knows the one and the other, but not both together, so this calls the module itself.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from pkcs11 import exceptions

_CONTEXT_SPECIFIC = 2
#: The place of C_Login in CK_FUNCTION_LIST (pkcs11f.h), which begins with a version.
_LOGIN = 1 + 18

_ANSWERS = {
    0x50: exceptions.FunctionCancelled,
    0xA0: exceptions.PinIncorrect,
    0xA1: exceptions.PinInvalid,
    0xA2: exceptions.PinLenRange,
    0xA3: exceptions.PinExpired,
    0xA4: exceptions.PinLocked,
    0x32: exceptions.DeviceRemoved,
    0xE0: exceptions.TokenNotPresent,
}


def ask_again_on_the_pad(module: Path, session: int) -> None:
    """
    Let the pad ask for the PIN of the operation that has begun in a session; returns when it was right.

    `module` is loaded already; it is the same library. Raises what python-pkcs11 raises for the answer.
    """
    functions = ctypes.c_void_p()
    ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(functions))
    address = ctypes.cast(functions, ctypes.POINTER(ctypes.c_void_p))[_LOGIN]
    kinds = (ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong)
    login = ctypes.CFUNCTYPE(*kinds)(address or 0)
    if answer := login(session, _CONTEXT_SPECIFIC, None, 0):
        raise _ANSWERS.get(answer, exceptions.FunctionFailed)
