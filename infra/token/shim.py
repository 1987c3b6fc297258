"""
A real token that is told to behave badly: the double for what SoftHSM2 cannot do.

`shim.c`, beside this, is a PKCS#11 module that forwards to another one, counts what reaches the token in a
file that survives the death of any process, and locks, vanishes, hangs or dies when it is told to. It
is compiled where it is used, and needs a C compiler. It is shipped because whoever has a real token will want
to try the same faults on it. `SoftwareDevice` is quicker, but lives in one process only.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.errors import Unavailable

_SOURCE = Path(__file__).with_name("shim.c")


def compiler() -> str | None:
    """Return the path of this machine's C compiler, if it has one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shim:
    """
    One shim in a folder of its own: the module to load, what it was told, and what reached the token.

    Processes that use it need `environment`, besides the path of `module`.
    """

    folder: Path
    forwards_to: Path

    @property
    def module(self) -> Path:
        """The PKCS#11 module to load."""
        return self.folder / "shim.so"

    @property
    def environment(self) -> dict[str, str]:
        """What a process must have in its environment before it loads the module."""
        return {"P11_SHIM_MODULE": str(self.forwards_to), "P11_SHIM_FOLDER": str(self.folder)}

    def build(self) -> None:
        """Compile the module; raises `Unavailable` where there is no compiler."""
        found = compiler()
        if found is None:
            raise Unavailable("there is no C compiler on this machine")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [found, "-shared", "-fPIC", "-O1", "-o", str(self.module), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)

    def tell(self, fault: str, value: str | int = "") -> None:
        """Let a fault begin, from the next call on; `shim.c` lists them and what their values mean."""
        (self.folder / fault).write_text(f"{value}\n" if value != "" else "", encoding="utf-8")

    def let_be(self, *faults: str) -> None:
        """Let faults end; without names, all of them, and what is counted as wrong PINs is forgotten."""
        kept = {"calls", self.module.name}
        for file in self.folder.iterdir():
            if file.name in faults or (not faults and file.name not in kept):
                file.unlink()

    def is_told(self, fault: str) -> bool:
        """Tell whether a fault is (still) to happen."""
        return (self.folder / fault).exists()

    def count(self, what: str) -> int:
        """Return how many times something reached the token: `sign`, `login` or `login-again`."""
        try:
            lines = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return 0
        return sum(line.split()[0] == what for line in lines)

    @property
    def signatures(self) -> int:
        """How many signatures were asked of the token, answered or not."""
        return self.count("sign")
