"""
What EU DSS and veraPDF say of documents of every level: `make test-dss`, where Java and Maven are.

DSS is asked offline, with the trusted roots alone, by the policy that it ships. What it must say: the level that we
stored, and TOTAL-PASSED where the document brings its own proofs. A document of level B or T brings none, and
DSS then says INDETERMINATE for want of revocation data, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.services import using
from tasks.dossier.papers import finished, read
from tasks.evidence.steps import lift_for_archive, lift_for_release
from tasks.signing.steps import sign_original, validate
from tests.outside.judges import NOT_RUN, Judges, NotRun, Verdict, judges
from tests.tasks.evidence.test_lifting import evidence
from tests.world import World

#: Shape and level of each document, and the level that the two of them must have.
MADE = {
    "B": {"release": "B", "archive": "B"},
    "T": {"release": "T", "archive": "T", "shape": "signature"},
    "LT": {"release": "LT", "archive": "LT", "shape": "signature"},
    "LTA": {"release": "LTA", "archive": "LTA", "shape": "signature"},
    "LTA with one time-stamp for all": {"release": "LT", "archive": "LTA", "shape": "document"},
}

#: What DSS may find fault with, and why that is meant.
ACCEPTED = {
    "BBB_FC_IAOD_ANS": "SIG-02: the seal overlaps the official's signature by a third",
    "BBB_XCV_AIA_PRES_ANS": "the certificates of the test authority do not say where their issuer's lies; it is in the document",
    "BBB_FC_ISVADMDPD_ANS": "a document time-stamp brings a field of its own; ISO 32000-2 §12.8.2.2 allows that after "
    "a certification, whatever it permits, and DSS passes the document all the same",
}
#: What DSS lacks in a document that brings no proofs.
NO_PROOFS = {"BBB_XCV_SUB_ANS", "BBB_XCV_IRDPFC_ANS"}


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One document of ours, with what we stored of it and what others say."""

    name: str
    stored: str
    verdicts: tuple[Verdict, ...]
    pdfa: bool


@pytest.fixture(scope="session")
def outside() -> Judges:
    """Both validators; without Java, Maven or a network this is not run, which is not the same as passed."""
    try:
        return judges(Path("var/tools"))
    except NotRun as why:
        pytest.exit(f"not run: {why}", returncode=NOT_RUN)


@pytest.fixture(scope="session")
def judged(
    running_world: World, outside: Judges, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Judged]:
    """Make a document of every kind, and have all of them judged."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "anchors").mkdir()
    for number, anchor in enumerate(running_world.parts.anchors):
        pem = x509.load_der_x509_certificate(anchor).public_bytes(Encoding.PEM)
        (folder / "anchors" / f"{number}.pem").write_bytes(pem)
    stored = {}
    with using(running_world.parts):
        for name, wanted in MADE.items():
            stored[name] = make(running_world, folder / f"{name}.pdf", wanted)
    files = [folder / f"{name}.pdf" for name in MADE]
    said = outside.dss(files, anchors=folder / "anchors", online=False)
    pdfa = outside.verapdf(files)
    return {
        file.stem: Judged(
            name=file.stem,
            stored=stored[file.stem],
            verdicts=tuple(v for v in said if v.file == str(file)),
            pdfa=pdfa[str(file)],
        )
        for file in files
    }


def make(world: World, file: Path, wanted: dict[str, str]) -> str:
    """Write a certified copy with the evidence that is wanted, and return the level that we stored."""
    with evidence(world, **wanted):
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
        file.write_bytes(read(row))
        return str(row.level)


def keys(messages: tuple[str, ...]) -> set[str]:
    return {message.partition(" ")[0] for message in messages}


@pytest.mark.parametrize("name", MADE)
def test_dss_finds_two_signatures_of_the_level_that_we_stored(judged: dict[str, Judged], name: str) -> None:
    one = judged[name]
    assert [v.level for v in one.verdicts] == [f"PAdES-BASELINE-{one.stored}"] * 2


@pytest.mark.parametrize("name", [name for name in MADE if name.startswith("LT")])
def test_dss_passes_a_document_that_brings_its_own_proofs(judged: dict[str, Judged], name: str) -> None:
    for verdict in judged[name].verdicts:
        assert verdict.indication == "TOTAL_PASSED", verdict
        assert verdict.errors == ()


@pytest.mark.parametrize("name", ["B", "T"])
def test_dss_misses_the_proofs_in_a_document_without_and_nothing_else(
    judged: dict[str, Judged], name: str
) -> None:
    for verdict in judged[name].verdicts:
        assert verdict.indication == "INDETERMINATE", verdict
        assert keys(verdict.errors) <= NO_PROOFS, verdict.errors


@pytest.mark.parametrize("name", MADE)
def test_what_dss_warns_of_is_known_and_meant(judged: dict[str, Judged], name: str) -> None:
    found = set().union(*(keys(v.warnings) for v in judged[name].verdicts))
    assert found <= set(ACCEPTED), found - set(ACCEPTED)


@pytest.mark.parametrize("name", MADE)
def test_verapdf_finds_every_document_to_be_pdfa_2b(judged: dict[str, Judged], name: str) -> None:
    assert judged[name].pdfa
