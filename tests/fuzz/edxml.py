"""
Packages of the exchange under atheris: `python -m tests.fuzz.edxml [seconds]` (60), on inputs kept in `var/fuzz`.

Whatever the bytes are, a package is read or refused with `Faulty`, and what is taken without a fault is what was
signed. Ends with 77 where atheris cannot be had (no network, another platform): then nothing was fuzzed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from infra.stack.layout import PROJECT

FOLDER = PROJECT / "var" / "fuzz"
NOT_RUN = 77


def main() -> int:
    """Fuzz for some seconds; 0: nothing was found."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    packages = FOLDER / "packages"
    wanted = ["-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "--target", packages]
    if not (packages / "atheris").exists():
        got = subprocess.run(
            [sys.executable, *map(str, wanted), "-r", str(Path(__file__).with_name("requirements.txt"))],
            check=False,
        )
        if got.returncode:
            print("fuzz of packages: not run (atheris cannot be had here)")
            return NOT_RUN
    sys.path.append(str(packages))
    import atheris  # noqa: PLC0415

    with atheris.instrument_imports(include=["infra.edxml"]):
        from infra.edxml import reading, splitting  # noqa: PLC0415
    from infra.edxml.faults import Faulty  # noqa: PLC0415
    from tests.infra.edxml.test_packages import PDF, letter, package  # noqa: PLC0415

    inputs = FOLDER / "edxml"
    inputs.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="hoso-fuzz-"))
    whole = package(place).read_bytes()
    (inputs / "signed").write_bytes(whole)
    (inputs / "small").write_bytes(b'<e:edXML xmlns:e="e"><e:AttachmentEncoded/></e:edXML>')
    path, said = place / "fuzzed.xml", letter()

    def once(content: bytes) -> None:
        path.write_bytes(content)
        try:
            opened = reading.read_package(splitting.split(path, place))
        except Faulty:
            return
        if not opened.faults:
            assert opened.letter is not None
            assert replace(opened.letter, traces=()) == said, "what is taken is what was signed"
            assert opened.attached[0].part.path.read_bytes() == PDF

    atheris.Setup(
        [
            sys.argv[0],
            f"-max_total_time={seconds}",
            f"-max_len={2 * len(whole)}",
            "-verbosity=0",
            str(inputs),
        ],
        once,
    )
    atheris.Fuzz()  # Ends the process.
    return 0


if __name__ == "__main__":
    sys.exit(main())
