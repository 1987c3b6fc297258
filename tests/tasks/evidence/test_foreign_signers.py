"""Another agency's signers: asked about when their result comes in, before ours joins, and for the evidence (PKI-05, SIG-20)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from infra.clock import HANOI
from infra.pdf.cms import TokenSigner
from infra.pdf.signing import sign_field
from infra.revocation import NoRevocationAnswer, Revoked
from infra.stack.pki_control import behaving, reinstate, revoke, times_asked
from infra.token import Token
from infra.token.software import SoftwareDevice
from tasks.archival.steps import ask_for_archive
from tasks.certification.receiving import Receipt, receive_walk_in
from tasks.certification.results import accept_result
from tasks.certification.scanning import Presented
from tasks.dossier.opening import Opening
from tasks.dossier.papers import finished, newest, read
from tasks.evidence.steps import lift
from tasks.signing.steps import sign_original
from tests.procedure_versions import another_version
from tests.world import RETURN, World, refused, somebody

if TYPE_CHECKING:
    from tests.conftest import Authority


@pytest.fixture
def served(world: World) -> Path:
    return world.root / "pki" / "served"


@pytest.fixture
def ministry(world: World, served: Path) -> Iterator[Authority]:
    """An authority that is trusted for other agencies' results, and for nothing else."""
    authority = type(world.authority)(
        start=world.authority.start, root_label="ministry-root", label="ministry"
    )
    authority.serve(served)
    with world.having(foreign_anchors=tuple(authority.anchors), foreign_chain=tuple(authority.chain)):
        yield authority


def key_of(authority: Authority, *, start_days: int = 0, days: int = 1000, **more: Any) -> Token:
    """Return the key of somebody to whom an authority has issued a certificate."""
    key = rsa.generate_private_key(65537, 2048)
    start = authority.start + timedelta(days=start_days)
    certificate = authority.issue("Sở Xây dựng", key.public_key(), start=start, days=days, **more)
    device = SoftwareDevice(label="ministry", pin="428571", keys={b"\x01": key})
    return device.open("pkcs11:token=ministry;id=%01", pin="428571", certificate=certificate)


def result_of(world: World, token: Token, form: bytes, authority: Authority) -> bytes:
    """Return a result that somebody has signed a moment ago, level B."""
    return sign_field(
        form, field="official", token=token, image=None, at=world.parts.clock.now().astimezone(HANOI), certify=False,
        name=None, location=None, reason=None, chain=authority.chain,
    )  # fmt: skip


def received(world: World, content: bytes) -> str:
    """Take a result in at the counter."""
    office = world.office()
    opening = Opening(office=office, procedure=RETURN, applicant=somebody(), channels=("email",))
    shown = Presented(kind="Giấy phép xây dựng", files=(("result.pdf", content),), pages=1)
    return receive_walk_in(opening, [shown], Receipt(), by=world.officer(office)).code


@contextmanager
def returning(world: World, **evidence: str) -> Iterator[None]:
    """Let results that come in within the block need this evidence."""
    with another_version(world, "return-of-result.v2.yaml", evidence=evidence):
        yield


def verdict(world: World, code: str) -> Any:
    """Return what was found out about a result."""
    with world.parts.database.transaction() as session:
        row = newest(session, code, 1, "verdict")
    assert row is not None
    return json.loads(read(row))


def ended(world: World, code: str) -> tuple[str, bytes]:
    """Return the level and the bytes of the finished document."""
    with world.parts.database.transaction() as session:
        row = finished(session, code, 1)
    assert row is not None
    return str(row.level), read(row)


def test_a_result_is_lifted_with_proofs_about_its_signer_from_its_own_authority(
    world: World, served: Path, ministry: Authority, form: bytes, tmp_path: Path
) -> None:
    """Level LTA for both signatures; whoever trusts both roots finds the file valid without a network."""
    signer = key_of(ministry)
    with returning(world, release="LTA", archive="LTA"):
        code = received(world, result_of(world, signer, form, ministry))
    before = times_asked(served)["ocsp"]
    assert accept_result(code, 1)
    assert times_asked(served)["ocsp"] == before + 2, "about the signer and the authority above"
    world.carry(code)
    assert world.stage(code) == "Returned"
    level, pdf = ended(world, code)
    assert level == "LTA"
    (tmp_path / "a.pdf").write_bytes(pdf)
    (tmp_path / "roots").mkdir()
    for number, root in enumerate((*world.parts.anchors, *ministry.anchors)):
        (tmp_path / "roots" / f"{number}.der").write_bytes(root)
    said = world.type("verify", tmp_path / "a.pdf", "--anchors", tmp_path / "roots", "--json", by=None)
    assert said.code == 0, said.out
    signatures = said.json["files"][0]["signatures"]
    assert [(one["field"], one["level"], one["revocation_known_from"]) for one in signatures[:2]] == [
        ("official", "LTA", "embedded"), ("centre", "LTA", "embedded"),
    ]  # fmt: skip
    ask_for_archive(code)
    world.carry(code)
    assert world.stage(code) == "Archived"
    assert lift(code, 1, None), "and it is renewed like any other"


def test_a_signature_of_an_older_form_gets_the_same_evidence_and_no_level(
    world: World, ministry: Authority, form: bytes
) -> None:
    """adbe.pkcs7.detached has no PAdES level; ours reaches the one that the procedure asks for."""
    signer = TokenSigner.of(key_of(ministry), ministry.chain)
    metadata = PdfSignatureMetadata(
        field_name="official", md_algorithm="sha256", subfilter=SigSeedSubFilter.ADOBE_PKCS7_DETACHED
    )
    pdf = PdfSigner(metadata, signer).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(form))).getvalue()
    with returning(world, release="LT", archive="LTA"):
        code = received(world, pdf)
    world.carry(code)
    assert world.stage(code) == "Returned"
    assert ended(world, code)[0] in ("LT", "LTA")


def test_a_signer_who_was_revoked_before_signing_sends_the_result_back(
    world: World, served: Path, ministry: Authority, form: bytes
) -> None:
    signer = key_of(ministry)
    revoke(served, signer.certificate, world.parts.clock.now() - timedelta(hours=1))
    code = received(world, result_of(world, signer, form, ministry))
    assert not accept_result(code, 1)
    assert world.stage(code) == "ReturnedToExaminer"
    assert "was revoked on" in str(world.originals(code)[0].reason)
    assert not verdict(world, code)["sound"]


def test_a_signer_who_is_revoked_while_the_result_lies_here_stops_our_signature(
    world: World, served: Path, ministry: Authority, form: bytes
) -> None:
    """Between two signatures the first one's issuer is asked again, whoever that is."""
    signer = key_of(ministry)
    code = received(world, result_of(world, signer, form, ministry))
    office = world.dossier(code).office
    assert accept_result(code, 1)
    world.parts.revocation.forget()
    revoke(served, signer.certificate, world.parts.clock.now())
    refused(Revoked, lambda: sign_original(code, 1, world.signer(office, "seal")))
    assert world.events(code)[-1] == "signature:refused"
    reinstate(served, signer.certificate)
    world.parts.revocation.forget()
    assert sign_original(code, 1, world.signer(office, "seal"))


def test_while_nobody_answers_the_result_waits_and_is_accepted_later(
    world: World, served: Path, ministry: Authority, form: bytes
) -> None:
    code = received(world, result_of(world, key_of(ministry), form, ministry))
    world.parts.revocation.forget()
    with behaving(served, ocsp="down", crl="down"):
        refused(NoRevocationAnswer, lambda: accept_result(code, 1))
        assert world.stage(code) == "Received"
        assert "result:checked" not in world.events(code)
    assert accept_result(code, 1)


def test_a_host_that_the_settings_do_not_allow_is_not_asked(
    world: World, served: Path, ministry: Authority, form: bytes
) -> None:
    """PKI-03: addresses come out of certificates; the examiner is told which host is wanted."""
    from infra.revocation.http import HttpRevocation

    code = received(world, result_of(world, key_of(ministry), form, ministry))
    before = times_asked(served)
    nobody = HttpRevocation(hosts=[], rewrite={}, seconds=5, limit_bytes=1000, kept_seconds=0)
    with world.having(
        revocation=nobody, foreign_anchors=tuple(ministry.anchors), foreign_chain=tuple(ministry.chain)
    ):
        assert not accept_result(code, 1)
    assert times_asked(served) == before
    reason = str(world.originals(code)[0].reason)
    assert "PKI-03" in reason
    assert "HOSO_REVOCATION_HOSTS" in reason


def test_a_signer_whose_certificate_names_nobody_to_ask_passes_only_where_the_policy_says_so(
    world: World, ministry: Authority, form: bytes
) -> None:
    ministry.label = ""
    signer = key_of(ministry)
    code = received(world, result_of(world, signer, form, ministry))
    assert not accept_result(code, 1)
    assert "Revocation is not known" in str(world.originals(code)[0].reason)
    softer = world.settings.model_copy(update={"revocation_policy": "hard-fail"})
    code = received(world, result_of(world, signer, form, ministry))
    foreign = {"foreign_anchors": tuple(ministry.anchors), "foreign_chain": tuple(ministry.chain)}
    with world.having(settings=softer, **foreign):
        assert accept_result(code, 1)


@pytest.mark.parametrize(
    ("kind", "issued", "because"),
    [
        ("expired", {"start_days": -20, "days": 10}, "expired on"),
        ("not yet valid", {"start_days": 20}, "is in force from"),
        ("wrong usage", {"signs": False}, "was not issued for this use"),
    ],
)
def test_a_certificate_that_was_not_good_for_signing_sends_the_result_back(
    world: World, ministry: Authority, form: bytes, kind: str, issued: dict[str, Any], because: str
) -> None:
    token = key_of(ministry, **issued)
    code = received(world, result_of(world, token, form, ministry))
    assert not accept_result(code, 1)
    assert because in str(world.originals(code)[0].reason), kind


def test_the_office_s_own_roots_do_not_vouch_for_other_agencies(
    world: World, ministry: Authority, form: bytes
) -> None:
    """HOSO_FOREIGN_ANCHORS names whom results may lead to; it takes the place of the office's own folder."""
    office = world.office()
    token = world.signer(office, "lam").token
    code = received(world, result_of(world, token, form, world.authority))
    assert not accept_result(code, 1)
    assert "leads to none of those given" in str(world.originals(code)[0].reason)
