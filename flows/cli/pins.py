"""How a PIN is asked for: where it can be neither seen nor listed."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.errors import Forbidden
from infra.settings import read_secret

PinFd = Annotated[int | None, typer.Option("--pin-fd", help="File descriptor to read the PIN from.")]
PinFile = Annotated[Path | None, typer.Option("--pin-file", help="File that holds the PIN.")]


def ask_pin(pin_fd: int | None, pin_file: Path | None) -> str:
    """Return the PIN from a descriptor, a file, or the keyboard; never an argument. Raises `Forbidden` (SIG-13)."""
    if pin_fd is not None:
        with os.fdopen(pin_fd, encoding="utf-8") as stream:
            return stream.readline().rstrip("\n")
    if pin_file is not None:
        try:
            return read_secret(pin_file)
        except OSError as error:
            raise Forbidden(
                f"the PIN file {pin_file} cannot be read: {error.strerror}.",
                rule="SIG-13",
                way_out="Give the path of a file that only you can read.",
            ) from error
    if not sys.stdin.isatty():
        raise Forbidden(
            "there is nobody to ask for the PIN.", rule="SIG-13", way_out="Give --pin-fd or --pin-file."
        )
    return getpass.getpass("PIN: ")
