"""What is said of documents that nobody attacked: who, when, how that is known, and what is missing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from infra.pdf.verifying.findings import Report, Verdict, report_from, verdict_of, worst
from infra.pdf.verifying.pairs import belonging
from infra.pdf.verifying.printed import PHRASES, printed
from infra.pdf.verifying.words import FINDINGS, SUMMARIES
from tests.attacks.target import EVENING, MORNING, Target

if TYPE_CHECKING:
    from tests.conftest import Authority


@pytest.fixture(scope="session")
def target(authority: Authority, form: bytes, picture: bytes) -> Target:
    return Target(authority, form, picture)


def codes(report: Report) -> set[str]:
    return {one.code for one in report.everything()}


def serial(target: Target) -> int:
    return x509.load_der_x509_certificate(target.token("Trần Thị Bình").certificate).serial_number


def test_a_report_says_who_signed_in_which_capacity_when_and_how_that_is_known(target: Target) -> None:
    official, seal = target.examined(target.twice).signatures
    assert (official.signer, official.kind, official.kind_known_from) == ("Trần Thị Bình", "person", "field")
    assert (official.capacity, official.capacity_known_from) == ("KT. CHỦ TỊCH, PHÓ CHỦ TỊCH", "reason")
    assert (official.certifies, official.permission) == (True, 2)
    assert (seal.kind, seal.certifies, seal.covers_whole_file) == ("agency", False, True)
    assert official.claimed_time == MORNING.isoformat()
    assert (official.proven_time, official.level) == (None, "B")
    assert (official.revocation, official.revocation_known_from) == ("good", "folder")
    assert official.anchor is not None
    assert "Gốc thử nghiệm" in official.anchor


def test_a_time_stamp_proves_when_the_signatures_existed(target: Target) -> None:
    *signatures, stamp = target.examined(target.stamped).signatures
    assert stamp.kind == "time-stamp"
    assert {one.proven_by for one in signatures} == {"Dấu thời gian"}
    assert all(
        one.level == "T" and one.proven_time and EVENING.isoformat()[:10] in one.proven_time
        for one in signatures
    )


def test_revisions_say_what_came_after_a_signature(target: Target) -> None:
    revisions = target.examined(target.lta).revisions
    assert [one.kinds for one in revisions] == [("document",), ("signature",), ("evidence",), ("time-stamp",)]
    assert [one.start for one in revisions[1:]] == [one.end for one in revisions[:-1]]
    assert revisions[-1].end == len(target.lta)
    assert all(one.allowed for one in revisions)


def test_evidence_in_the_file_decides_without_network_or_lists(target: Target) -> None:
    report = target.examined(target.lta, crls=[])
    assert report.verdict is Verdict.VALID
    assert {one.level for one in report.signatures[:2]} == {"LTA"}
    assert {one.revocation_known_from for one in report.signatures} == {"embedded"}


def test_without_an_anchor_nothing_is_decided_and_that_is_what_is_missing(target: Target) -> None:
    report = target.examined(target.twice, anchors=[])
    assert report.verdict is Verdict.UNDECIDED
    assert "no-anchor" in codes(report)


def test_a_forger_with_an_authority_of_their_own_is_vouched_for_by_nobody(target: Target) -> None:
    """EN 319 102-1: NO_CERTIFICATE_CHAIN_FOUND decides nothing; the report says what a citizen should think."""
    forged = target.sign(
        target.sign_as(target.outsiders, target.form, "official"),
        "seal",
        token=target.outsiders["seal"],
        chain=[],
    )
    report = target.examined(forged)
    assert report.verdict is Verdict.UNDECIDED
    assert {"no-anchor", "nobody-trusted"} <= codes(report)
    assert (
        "=> Chưa thể kết luận: không ai mà bạn tin cậy xác nhận tệp này. Hãy coi như tệp chưa được ký."
        in printed(report, "vi")
    )
    assert "anybody can make such signatures under any name" in printed(report, "en")


def test_who_trusts_the_agency_s_own_certificate_sees_a_forgery_under_its_name(target: Target) -> None:
    pinned = [*target.authority.anchors, target.token("UBND phường Thử").certificate]
    forged = target.sign(
        target.sign_as(target.outsiders, target.form, "official"),
        "seal",
        token=target.outsiders["seal"],
        chain=[],
    )
    report = target.examined(forged, anchors=pinned)
    assert report.verdict is Verdict.NOT_VALID
    assert "impostor" in codes(report)
    assert target.examined(target.twice, anchors=pinned).verdict is Verdict.VALID


def test_a_stranger_whom_somebody_trusted_signed_over_is_no_forger(target: Target) -> None:
    """Another agency's result under our seal: whose root is missing is not decided, and not called a forgery."""
    result = target.sign_as(target.outsiders, target.form, "official")
    report = target.examined(target.sign(result, "seal"))
    assert report.verdict is Verdict.UNDECIDED
    assert codes(report) == {"no-anchor", "stray-certificate"}


def test_without_answers_about_revocation_nothing_is_decided(target: Target) -> None:
    report = target.examined(target.twice, crls=[])
    assert (report.verdict, codes(report)) == (Verdict.UNDECIDED, {"revocation-unknown"})


def test_a_list_that_is_too_old_does_not_speak_of_today(target: Target) -> None:
    report = target.examined(target.twice, at=MORNING + timedelta(days=60))
    assert (report.verdict, codes(report)) == (Verdict.UNDECIDED, {"revocation-unknown"})


def test_an_expired_certificate_leaves_a_level_b_signature_undecided(target: Target) -> None:
    report = target.examined(target.twice, at=MORNING + timedelta(days=2000))
    assert report.verdict is Verdict.UNDECIDED
    assert codes(report) == {"expired-since"}


def test_a_time_stamped_signature_outlives_its_certificate(target: Target) -> None:
    # The official's certificate ends after 1000 days; the time-stamping authority's after 3000.
    later = MORNING + timedelta(days=1500)
    authority = target.authority
    crls = [
        *target.crls,
        target.crl(authority.root_certificate, authority.root_key, days=2000),
        target.crl(authority.certificate, authority.key, days=2000),
    ]
    assert target.examined(target.lta, at=later, crls=crls).verdict is Verdict.VALID
    assert target.examined(target.twice, at=later, crls=crls).verdict is Verdict.UNDECIDED


def revoked(target: Target, day: timedelta) -> list[object]:
    authority = target.authority
    return [
        target.crl(authority.root_certificate, authority.root_key),
        target.crl(authority.certificate, authority.key, revoked={serial(target): MORNING + day}),
    ]


def test_a_certificate_revoked_before_signing_makes_a_signature_not_valid(target: Target) -> None:
    report = target.examined(target.twice, crls=revoked(target, -timedelta(hours=1)))
    assert report.verdict is Verdict.NOT_VALID
    assert "revoked" in codes(report)


def test_revoked_after_a_time_that_nobody_proved_is_undecided(target: Target) -> None:
    report = target.examined(target.twice, crls=revoked(target, timedelta(hours=1)))
    assert (report.verdict, codes(report)) == (Verdict.UNDECIDED, {"revoked-since"})


def test_revoked_after_a_proven_time_is_told_and_changes_nothing(target: Target) -> None:
    report = target.examined(target.lta, crls=revoked(target, timedelta(hours=12)))
    assert report.verdict is Verdict.VALID
    assert codes(report) == {"revoked-later"}
    assert target.examined(target.lta, crls=revoked(target, -timedelta(hours=1))).verdict is Verdict.NOT_VALID


def test_a_signature_from_tomorrow_is_not_valid(target: Target) -> None:
    assert "future" in codes(target.examined(target.twice, at=MORNING - timedelta(hours=2)))


def test_an_unsigned_document_is_not_valid_and_the_report_says_why(target: Target) -> None:
    report = target.examined(target.form)
    assert (report.verdict, codes(report)) == (Verdict.NOT_VALID, {"unsigned"})
    assert "không có chữ ký số" in printed(report, "vi")


def test_what_is_no_pdf_is_unreadable(target: Target) -> None:
    for content in (b"", b"x", b"%PDF-1.7", b"PK\x03\x04" + bytes(100)):
        assert target.examined(content).verdict is Verdict.UNREADABLE


def test_a_report_survives_the_way_from_the_child(target: Target) -> None:
    import json

    report = target.examined(target.lta)
    assert report_from(json.loads(json.dumps(report.as_json()))) == report


def test_two_files_belong_together_when_a_signed_one_names_the_other(target: Target) -> None:
    from dataclasses import replace

    result, note = target.examined(target.other), target.examined(target.twice)
    note = replace(note, names_hashes=(result.sha256,))
    first, second = belonging([result, note])
    assert [one.code for one in first.findings] == ["named-by"]
    assert [one.code for one in second.findings] == ["names-file"]
    unsigned = replace(target.examined(target.form), names_hashes=(result.sha256,))
    assert [len(one.findings) for one in belonging([result, unsigned])] == [0, 1]


def test_every_finding_and_phrase_is_there_in_both_languages_and_takes_the_same_values() -> None:
    import re

    for vi, en in (*((one.vi, one.en) for one in FINDINGS.values()), *PHRASES.values(), *SUMMARIES.values()):
        assert set(re.findall(r"{(\w+)}", vi)) == set(re.findall(r"{(\w+)}", en)), (vi, en)
        assert vi
        assert en
    assert set(SUMMARIES) == {one.value for one in Verdict} | {"nobody-trusted"}


def test_the_worst_of_several_files_decides() -> None:
    assert worst([Verdict.VALID, Verdict.UNDECIDED]) is Verdict.UNDECIDED
    assert worst([Verdict.NOT_VALID, Verdict.UNDECIDED]) is Verdict.NOT_VALID
    assert worst([Verdict.NOT_VALID, Verdict.UNREADABLE]) is Verdict.UNREADABLE
    assert verdict_of([]) is Verdict.VALID


def test_a_key_of_another_kind_verifies_nothing(target: Target) -> None:
    from asn1crypto import algos
    from asn1crypto import x509 as asn1_x509

    from infra.pdf.verifying.certificates import verifies

    certificate = asn1_x509.Certificate.load(target.authority.chain[0])
    algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
    assert not verifies(b"\x30\x00", b"x", certificate, algorithm)
