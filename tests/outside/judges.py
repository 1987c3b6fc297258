"""
What validators say that the project did not write: EU DSS of the signatures, veraPDF of the PDF/A.

Both are Java programs that Maven brings. `judges(tools)` compiles the small program that drives EU DSS, once;
where Java or Maven is absent, or the libraries cannot be fetched, it raises `NotRun`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_MAIN = HERE / "src" / "main" / "java" / "Judge.java"

#: What a test runner understands as "not run".
NOT_RUN = 77


class NotRun(Exception):
    """The validators cannot be run here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What EU DSS says of one signature."""

    file: str
    field: str
    level: str
    indication: str
    subindication: str
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Both validators, ready to be asked."""

    classpath: str

    def dss(
        self, files: Sequence[Path], *, anchors: Path, online: bool, policy: Path | None = None
    ) -> list[Verdict]:
        """Return a verdict a signature. `anchors` is a folder of PEM files; offline, nothing outside the file is asked."""
        said = _run(
            [
                "java", "-cp", self.classpath, "Judge", str(anchors), str(policy or "-"),
                "online" if online else "offline", *map(str, files),
            ]
        )  # fmt: skip
        return [
            _verdict(line["file"], found)
            for line in map(json.loads, said.splitlines())
            for found in line["signatures"]
        ]

    def verapdf(self, files: Sequence[Path], *, flavour: str = "2b") -> dict[str, bool]:
        """Return whether each file (by its path) is PDF/A of a flavour."""
        command = ["java", "-cp", self.classpath, "org.verapdf.apps.GreenfieldCliWrapper"]
        said = _run([*command, "--flavour", flavour, "--format", "text", *map(str, files)], answers=(0, 1))
        lines = [line.split(" ") for line in said.splitlines() if line.startswith(("PASS", "FAIL"))]
        return {" ".join(words[1:-1]): words[0] == "PASS" for words in lines}


def judges(tools: Path) -> Judges:
    """Return the validators, compiled below `tools` at the first call; raises `NotRun`."""
    for program in ("java", "javac", "mvn"):
        if shutil.which(program) is None:
            raise NotRun(f"{program} is not on this machine")
    sources = (HERE / "pom.xml").read_bytes() + _MAIN.read_bytes()
    folder = (tools / f"judges-{sha256(sources).hexdigest()[:16]}").absolute()
    listing = folder / "classpath"
    if not listing.exists():
        _build(folder, listing)
    classpath = f"{folder}{os.pathsep}{listing.read_text(encoding='utf-8')}"
    return Judges(classpath=classpath)


def _build(folder: Path, listing: Path) -> None:
    """Fetch the libraries and compile our program; the listing comes last, so that a broken build is made again."""
    print("fetching EU DSS and veraPDF with Maven; the first time takes a minute", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "classpath.draft"
    pom = str(HERE / "pom.xml")
    _run(["mvn", "-q", "-B", "-f", pom, "dependency:build-classpath", f"-Dmdep.outputFile={draft}"])
    libraries = draft.read_text(encoding="utf-8")
    _run(["javac", "-encoding", "UTF-8", "-cp", libraries, "-d", str(folder), str(_MAIN)])
    draft.rename(listing)


def _run(command: list[str], *, answers: tuple[int, ...] = (0,)) -> str:
    """Return what a program prints; raises `NotRun` with its last words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode not in answers:
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise NotRun(f"{command[0]} failed: {words[0] if words else 'it said nothing'}")
    return done.stdout


def _verdict(file: str, found: dict[str, Any]) -> Verdict:
    """Return one signature's verdict as it was printed."""
    several = {name: tuple(t for t in found.pop(name).split(" | ") if t) for name in ("errors", "warnings")}
    return Verdict(file=file, **found, **several)
