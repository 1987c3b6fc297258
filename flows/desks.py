"""
The people of the sample office at their desks, for the demo and the measurements.

Each has a session file of their own, as if each sat at another machine, and logs in as people do: an official
by the token, everybody else by a password that begins with an enrolment code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.chance import random_bytes
from infra.private_file import read_private, write_private
from infra.services import services

#: The sample office's code and file; its keys are those of the embedded stack.
OFFICE = "H49.21"
#: The sample applicant, as a file, because nothing personal is ever an argument.
APPLICANT = Path(__file__).resolve().parents[1] / "infra" / "stack" / "sample_office" / "applicant.yaml"
OFFICE_FILE = Path(__file__).resolve().parents[1] / "infra" / "stack" / "sample_office" / "office.yaml"


class Typed(Protocol):
    """Types one command at somebody's desk and returns what it printed."""

    def __call__(self, *words: str, by: str) -> str:
        """Type the words; raises `Broken` when the command fails."""
        ...


@dataclass(frozen=True, slots=True)
class Desks:
    """Desks, each with its session file, in one folder of the user's own."""

    folder: Path

    def settings(self, staff: str) -> Mapping[str, str]:
        """Return what the environment of somebody's commands says."""
        return {"HOSO_SESSION_FILE": str(self.folder / f"{staff}.session")}

    def log_in(self, staff: str, hoso: Typed) -> None:
        """Log somebody in by a password, made by the one-time code that an engineer hands over."""
        who, code, secret = (
            f"{OFFICE}/{staff}",
            self.folder / f"{staff}.code",
            self.folder / f"{staff}.secret",
        )
        # Enrolling is the engineer's, who counts only where nobody is logged in any more.
        Path(self.settings(staff)["HOSO_SESSION_FILE"]).unlink(missing_ok=True)
        hoso("person", "enrol", who, "--code-file", str(code), by=staff)
        password = random_bytes(16).hex()
        write_private(secret, f"{read_private(code)}\n{password}\n")
        hoso("password", who, "--secret-file", str(secret), by=staff)
        write_private(secret, f"{password}\n")
        hoso("login", who, "--password-file", str(secret), by=staff)
        code.unlink()

    def log_in_by_token(self, staff: str, hoso: Typed) -> None:
        """Log an official in by the signature of the token."""
        hoso("login", f"{OFFICE}/{staff}", "--token", "--pin-file", str(officials_pin()), by=staff)


def officials_pin() -> Path:
    """Return the file of the PIN of the sample officials' token."""
    return services().settings.trust_anchors.parent.parent / "secrets" / "pin_officials"
