"""
What tools that are not ours say of both shapes of evidence, by the commands that `docs/signing.md` gives.

`openssl cms` shares no code with pyHanko or poppler, so it is asked about every signature and time-stamp. What
is not installed is not run, and the test says so.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.services import using
from tasks.dossier.papers import finished, read
from tasks.evidence.steps import lift_for_archive, lift_for_release
from tasks.signing.steps import sign_original, validate
from tests.tasks.evidence.test_lifting import evidence
from tests.world import World

ROOT = Path(__file__).resolve().parents[3]
SHAPES = {
    "a time-stamp in each signature": {"release": "T", "archive": "LTA", "shape": "signature"},
    "one time-stamp for all": {"release": "LT", "archive": "LTA", "shape": "document"},
}


@dataclass(frozen=True)
class Made:
    """One file, the certificates to trust and to know, and its signatures taken apart."""

    folder: Path
    numbers: Sequence[int]

    def said(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder of the file."""
        if shutil.which(str(command[0])) is None:
            pytest.skip(f"not run: {command[0]} is not installed")
        return subprocess.run(
            list(map(str, command)), cwd=self.folder, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module", params=SHAPES)
def made(
    request: pytest.FixtureRequest, running_world: World, tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """A certified copy of one shape at level LTA, with the certificates that a reader has."""
    world, folder = running_world, tmp_path_factory.mktemp("shape")
    with using(world.parts):
        with evidence(world, **SHAPES[request.param]):
            office = world.office()
            code = world.frozen(office)
        sign_original(code, 1, world.signer(office))
        sign_original(code, 1, world.signer(office, "seal"))
        lift_for_release(code, 1)
        assert validate(code, 1)
        lift_for_archive(code, 1)
        with world.parts.database.transaction() as session:
            row = finished(session, code, 1)
            assert row is not None
            (folder / "result.pdf").write_bytes(read(row))
    for name, ders in (("roots", world.parts.anchors), ("chain", world.parts.chain)):
        pems = [x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders]
        (folder / f"{name}.pem").write_bytes(b"".join(pems))
    apart = subprocess.run(
        [shutil.which("python3") or "python3", "-c", program(), folder / "result.pdf"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Made(folder, [int(line.split()[0]) for line in apart.stdout.splitlines()])


def program() -> str:
    """Return the program of `docs/signing.md` that takes a file's signatures apart; it needs Python alone."""
    text = (ROOT / "docs" / "signing.md").read_text(encoding="utf-8")
    return text.partition("<!-- apart -->\n```python\n")[2].partition("```")[0]


def test_openssl_verifies_every_signature_and_its_chain(made: Made) -> None:
    assert len(made.numbers) == 3, "the official, the seal, and the document's time-stamp"
    for number in made.numbers[:2]:
        said = made.said(
            "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", f"{number}.cms", "-content",
            f"{number}.signed", "-CAfile", "roots.pem", "-certfile", "chain.pem", "-purpose", "any", "-out", "/dev/null",
        )  # fmt: skip
        assert (said.returncode, "CMS Verification successful" in said.stderr) == (0, True), said.stderr


def test_openssl_verifies_the_document_s_time_stamp(made: Made) -> None:
    """RFC 3161 over everything that the file holds but the token itself."""
    said = made.said(
        "openssl", "ts", "-verify", "-token_in", "-in", f"{made.numbers[2]}.cms", "-data",
        f"{made.numbers[2]}.signed", "-CAfile", "roots.pem", "-untrusted", "chain.pem",
    )  # fmt: skip
    assert (said.returncode, "Verification: OK" in said.stdout) == (0, True), said.stdout + said.stderr


def test_openssl_finds_a_changed_byte(made: Made) -> None:
    """The same commands, so that their success means something."""
    content = bytearray((made.folder / "1.signed").read_bytes())
    content[len(content) // 2] ^= 1
    (made.folder / "changed").write_bytes(content)
    said = made.said(
        "openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "1.cms", "-content", "changed",
        "-CAfile", "roots.pem", "-certfile", "chain.pem", "-purpose", "any", "-out", "/dev/null",
    )  # fmt: skip
    assert said.returncode != 0
    assert "CMS Verification failure" in said.stderr


def test_pdfsig_finds_both_signatures_valid(made: Made) -> None:
    said = made.said("pdfsig", "-nocert", "result.pdf")
    assert said.stdout.count("Signature Validation: Signature is Valid.") == 2, said.stdout
    assert said.stdout.count("Signature has not yet been verified.") == 1, "it does not check time-stamps"


def test_qpdf_finds_nothing_wrong_with_the_file(made: Made) -> None:
    said = made.said("qpdf", "--check", "result.pdf")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "No syntax or stream encoding errors found" in said.stdout


def test_mutool_checks_the_digests(made: Made) -> None:
    """It calls the first signature valid but edited since, because it does not ask what may follow."""
    said = made.said("mutool", "sign", "-v", "result.pdf")
    assert "Digest error" not in said.stdout + said.stderr
