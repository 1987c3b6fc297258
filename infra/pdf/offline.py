"""A process that opens hostile files has no network, where the system allows it."""

from __future__ import annotations

import ctypes
from functools import cache

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET
_NO_NEW_PRIVILEGES = 38  # PR_SET_NO_NEW_PRIVS


@cache
def leave_the_network() -> bool:
    """
    Move this process, and what it forks, to where there is no network; say whether the system let it.

    Root may simply do so, others only where the kernel gives them namespaces; where it does not, the
    process keeps a network that none of its code uses. A nursery does it once for all its children, because a
    namespace costs as much as a scan.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return bool(libc.unshare(_NEW_NETWORK) == 0 or libc.unshare(_NEW_USER | _NEW_NETWORK) == 0)
