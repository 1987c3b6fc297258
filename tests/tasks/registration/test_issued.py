"""What the provider issued is matched with the rows that were sent, and nothing is taken on trust."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from infra.errors import Forbidden
from infra.sheets import Row, Unreadable, read_rows
from tasks.certificates.reading import read_certificate
from tasks.registration.answers import confirm, status_of, submit
from tasks.registration.certificate_files import read_certificates
from tasks.registration.entries import read_rows_of, take_list
from tasks.registration.issuing import IssuedOutcome, take_issued
from tasks.registration.lists import consolidate, send
from tasks.registration.matching import IssuedFile
from tasks.registration.sealing import sign_list_page
from tests.conftest import Authority
from tests.tasks.registration.lists import as_csv, as_xlsx, deadline_passes, round_in, rows_of, somebody_of
from tests.world import VECTORS, World, refused

HEAD = ["STT", "Họ và tên", "Số CCCD", "Thư điện tử công vụ", "Số hiệu chứng thư", "Ngày hết hạn"]
KEY = rsa.generate_private_key(65537, 2048)
#: Whoever got a certificate here has one for all tests that follow, so each has people of its own.
NUMBERS = count(1000)


def certificate(
    authority: Authority,
    name: str,
    *,
    identity: str = "",
    email: str = "",
    unit: str = "Sở Thử Nghiệm",
    days: int = 1000,
    usage: bool = True,
) -> x509.Certificate:
    """A certificate as a provider would issue it, its number and mailbox in it if they are given."""
    plain = x509.load_der_x509_certificate(
        authority.issue(name, KEY.public_key(), days=days, non_repudiation=usage)
    )
    subject = [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, unit)]
    subject += [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]
    subject += [x509.NameAttribute(x509.NameOID.USER_ID, f"CCCD:{identity}")] if identity else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(plain.issuer)
        .public_key(KEY.public_key())
        .serial_number(plain.serial_number)
        .not_valid_before(plain.not_valid_before_utc)
        .not_valid_after(plain.not_valid_after_utc)
    )
    for extension in plain.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    if email:
        names = x509.SubjectAlternativeName([x509.RFC822Name(email)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def somebodies(number: int) -> list[dict[str, str]]:
    return [somebody_of(next(NUMBERS)) for _ in range(number)]


def for_person(authority: Authority, person: dict[str, str], **changes: Any) -> x509.Certificate:
    said = {"name": person["name"], "identity": person["identity"], "email": person["email"], **changes}
    return certificate(authority, said.pop("name"), **said)


def provider_list(
    pairs: Iterable[tuple[dict[str, str], x509.Certificate]], **changes: str
) -> list[list[str]]:
    rows = [
        [str(n), p["name"], p["identity"], p["email"], f"{c.serial_number:X}", "01/01/2029"]
        for n, (p, c) in enumerate(pairs, start=1)
    ]
    for row in rows:
        for heading, text in changes.items():
            row[HEAD.index(heading)] = text
    return [["DANH SÁCH ĐÃ CẤP"], HEAD, *rows]


def files(*certificates: x509.Certificate) -> list[IssuedFile]:
    from tasks.registration.certificate_files import _mailboxes

    ders = [one.public_bytes(Encoding.DER) for one in certificates]
    return [IssuedFile(facts=read_certificate(der), mailboxes=_mailboxes(der)) for der in ders]


def sent(world: World, people: list[dict[str, str]], **changes: Any) -> tuple[str, str]:
    """An office and a round whose one list, with these people, was sent."""
    office = changes.pop("office", None) or world.office()
    code, by = round_in(world, office, **changes), world.officer(office)
    unit = changes["units"][0]["code"] if "units" in changes else "TTVH"
    take_list(code, unit, "individual", rows_of(people), by=by)
    submit(code, unit, "1/A", by=by)
    confirm(code, unit, "2/A", world.parts.clock.now().date(), by=by)
    deadline_passes(world, code)
    consolidate(code, "individual", "12/DS", by=by, official="lam")
    sign_list_page(code, 1, world.signer(office, "lam"))
    sign_list_page(code, 1, world.signer(office, "seal"))
    send(code, 1, "99/UBND", by=by)
    return office, code


def take(world: World, code: str, rows: list[Row], found: list[IssuedFile], **more: Any) -> IssuedOutcome:
    office = world.ask("select office from registration_round where code = :c", c=code)[0][0]
    return take_issued(code, rows, found, by=world.officer(office), **more)


def states(world: World, code: str) -> list[str]:
    return [
        r[0] for r in world.ask("select state from registration_entry where round = :c order by id", c=code)
    ]


def test_each_certificate_finds_its_row_and_the_same_list_again_changes_nothing(world: World) -> None:
    people = somebodies(3)
    _, code = sent(world, people)
    made = [for_person(world.authority, p) for p in people]
    rows = read_rows(as_xlsx(provider_list(zip(people, made, strict=True))))
    first = take(world, code, rows, files(*made))
    assert (first.matched, first.refused, first.kept, first.on_record) == (3, 0, True, 0)
    assert states(world, code) == ["Issued"] * 3
    before = world.counts("registration_certificate", "registration_entry")
    again = take(world, code, rows, files(*made))
    assert (again.matched, again.before, again.kept) == (0, 3, True)
    assert world.counts("registration_certificate", "registration_entry") == before
    assert status_of(code).issued == {"individual": 3}


def test_two_imports_at_once_give_every_row_its_certificate_once(world: World) -> None:
    people = somebodies(3)
    _, code = sent(world, people)
    made = [for_person(world.authority, p) for p in people]
    rows = read_rows(as_csv(provider_list(zip(people, made, strict=True))))
    done = world.at_once([lambda: take(world, code, rows, files(*made)) for _ in range(3)])
    assert sorted(one.matched for one in done if isinstance(one, IssuedOutcome)) == [0, 0, 3]


def test_a_row_is_found_by_identity_or_by_mailbox_alone(world: World) -> None:
    people = somebodies(2)
    _, code = sent(world, people)
    made = [for_person(world.authority, p) for p in people]
    table = provider_list(zip(people, made, strict=True))
    table[2][HEAD.index("Số CCCD")] = ""
    table[3][HEAD.index("Thư điện tử công vụ")] = ""
    assert take(world, code, read_rows(as_csv(table)), files(*made)).matched == 2


@pytest.fixture
def one(world: World) -> tuple[str, dict[str, str], dict[str, str]]:
    """A round in which one person waits for a certificate, beside somebody who does not count here."""
    people = somebodies(2)
    _, code = sent(world, people)
    return code, people[0], people[1]


def codes_for(
    world: World, code: str, table: list[list[str]], found: list[IssuedFile]
) -> list[tuple[int, str]]:
    outcome = take(world, code, read_rows(as_csv(table)), found)
    assert not outcome.kept
    assert states(world, code) == ["Sent", "Sent"]
    return [(r.row, r.code) for r in outcome.reasons]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "Trần Văn Khác"}, "other-name"),
        ({"identity": "022080999999"}, "other-identity"),
        ({"email": "khac@quangninh.gov.vn"}, "other-mailbox"),
        ({"usage": False}, "unfit"),
        ({"days": 3}, "unfit"),
        ({"days": 6 * 366}, "unfit"),
    ],
)
def test_cer_10_a_certificate_that_is_not_the_row_s_is_refused_with_its_reason(
    world: World, one: tuple[str, dict[str, str], dict[str, str]], changes: dict[str, Any], code: str
) -> None:
    round_code, person, _ = one
    made = for_person(world.authority, person, **changes)
    assert codes_for(world, round_code, provider_list([(person, made)]), files(made)) == [(3, code)]


def test_a_certificate_of_another_authority_is_refused(
    world: World, one: tuple[str, dict[str, str], dict[str, str]]
) -> None:
    code, person, _ = one
    made = for_person(Authority(), person)
    assert codes_for(world, code, provider_list([(person, made)]), files(made)) == [(3, "unfit")]


def test_a_row_of_the_list_that_names_nobody_or_nothing_is_refused(
    world: World, one: tuple[str, dict[str, str], dict[str, str]]
) -> None:
    code, person, other = one
    made, found = for_person(world.authority, person), []
    for changes, expected in (
        ({"Số hiệu chứng thư": "ABC"}, "no-certificate"),
        ({"Số hiệu chứng thư": "xyz"}, "serial"),
        ({"Số CCCD": "022080999999", "Thư điện tử công vụ": ""}, "no-row"),
        ({"Thư điện tử công vụ": other["email"]}, "two-rows"),
    ):
        table = provider_list([(person, made)], **changes)
        found.append((codes_for(world, code, table, files(made)), expected))
    assert [one for one, _ in found] == [[(3, expected)] for _, expected in found]


def test_one_bad_row_takes_nothing_unless_the_others_may_be_taken(world: World) -> None:
    people = somebodies(2)
    _, code = sent(world, people)
    made = [
        for_person(world.authority, people[0]),
        for_person(world.authority, people[1], name="Lê Thị Khác"),
    ]
    table = provider_list(zip(people, made, strict=True))
    rows = read_rows(as_csv([*table, table[-1]]))
    spare = for_person(world.authority, somebody_of(next(NUMBERS)))
    found = take(world, code, rows, files(*made, spare))
    assert [(r.row, r.code) for r in found.reasons] == [(4, "other-name"), (5, "twice-in-file")]
    assert found.spare == (f"{spare.serial_number:x}",)
    assert states(world, code) == ["Sent", "Sent"]
    assert take(world, code, rows, files(*made), accept_good_rows=True).matched == 1
    assert states(world, code) == ["Issued", "Sent"]


def test_a_row_that_was_not_sent_or_has_another_certificate_gets_none(world: World) -> None:
    people = somebodies(1)
    office, code = sent(world, people)
    first, second = for_person(world.authority, people[0]), for_person(world.authority, people[0])
    assert (
        take(world, code, read_rows(as_csv(provider_list([(people[0], first)]))), files(first)).matched == 1
    )
    again = take(world, code, read_rows(as_csv(provider_list([(people[0], second)]))), files(second))
    assert [r.code for r in again.reasons] == ["not-sent"]
    late = somebody_of(next(NUMBERS))
    by = world.officer(office)
    take_list(code, "YTE", "individual", rows_of([late]), by=by, late_decision="1/QĐ")
    made = for_person(world.authority, late)
    found = take(world, code, read_rows(as_csv(provider_list([(late, made)]))), files(made))
    assert [r.code for r in found.reasons] == ["not-sent"]


def test_cer_14_who_got_a_certificate_is_refused_in_the_next_round_unless_it_is_named(world: World) -> None:
    person = somebody_of(41)
    office, code = sent(world, [person])
    made = for_person(world.authority, person)
    take(world, code, read_rows(as_csv(provider_list([(person, made)]))), files(made))
    following = round_in(world, office, number=2)
    by = world.officer(office)
    refusal = take_list(following, "TTVH", "individual", rows_of([person]), by=by)
    assert [r.code for r in refusal.reasons] == ["has-certificate"]
    assert f"{made.serial_number:x}" in refusal.reasons[0].message
    named = somebody_of(41, old_serial=f"{made.serial_number:X}")
    assert take_list(following, "TTVH", "individual", rows_of([named]), by=by).new == 1


def office_with(world: World, identity: str) -> str:
    """An office whose official ha has this identity number."""
    officers = yaml.safe_load((VECTORS / "office.yaml").read_text(encoding="utf-8"))["officers"]
    next(one for one in officers if one["staff"] == "ha")["identity"] = identity
    return world.office(officers=officers)


def test_a_certificate_for_somebody_of_our_offices_is_on_record_as_issued(world: World) -> None:
    office = office_with(world, "022080000777")
    by = world.officer(office)
    unit = {"code": office, "name": "Ủy ban nhân dân xã Thử Nghiệm"}
    person = somebody_of(777, name="Hoàng Thị Thu Hà")
    # The one in use is to be replaced.
    code = round_in(world, office, number=9, units=[unit])
    known = take_list(code, office, "individual", rows_of([person]), by=by)
    assert [r.code for r in known.reasons] == ["has-certificate"]
    serial = known.reasons[0].message.split("serial ")[1].split(")")[0]
    person["old_serial"] = serial
    _, code = sent(world, [person], office=office, number=10, units=[unit])
    made = for_person(world.authority, person, unit="Ủy ban nhân dân xã Thử Nghiệm")
    found = take(world, code, read_rows(as_csv(provider_list([(person, made)]))), files(made))
    assert (found.matched, found.on_record) == (1, 1)
    row = world.ask("select state, holder from certificate where serial = :s", s=f"{made.serial_number:x}")
    assert [tuple(one) for one in row] == [("issued", "ha")]


def test_a_certificate_that_our_office_would_refuse_is_a_reason_of_its_row(world: World) -> None:
    office = office_with(world, "022080000778")
    unit = {"code": office, "name": "Ủy ban nhân dân xã Thử Nghiệm"}
    person = somebody_of(778, name="Nguyễn Thị Thu Hà")
    serial = world.ask("select serial from certificate where office = :o and holder = 'ha'", o=office)[0][0]
    person["old_serial"] = serial
    _, code = sent(world, [person], office=office, units=[unit])
    made = for_person(world.authority, person, unit="Ủy ban nhân dân xã Thử Nghiệm")
    found = take(world, code, read_rows(as_csv(provider_list([(person, made)]))), files(made))
    assert [r.code for r in found.reasons] == ["unfit"]
    assert "Hoàng Thị Thu Hà" in found.reasons[0].message


# Files.


def packed(*parts: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts:
            package.writestr(name, content)
    return out.getvalue()


def test_certificates_are_read_from_a_folder_or_a_zip_file_in_pem_and_der(
    authority: Authority, tmp_path: Path
) -> None:
    first, second = certificate(authority, "Một Hai"), certificate(authority, "Ba Bốn")
    parts = [
        ("a/1.cer", first.public_bytes(Encoding.DER)),
        ("2.PEM", second.public_bytes(Encoding.PEM)),
        ("again.der", first.public_bytes(Encoding.DER)),
        ("ca.crt", authority.certificate.public_bytes(Encoding.PEM)),
        ("readme.txt", b"hello"),
    ]
    (tmp_path / "all.zip").write_bytes(packed(*parts))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in parts:
        (folder / Path(name).name).write_bytes(content)
    serials = sorted(f"{one.serial_number:x}" for one in (first, second))
    for source in (tmp_path / "all.zip", folder):
        assert sorted(one.facts.serial for one in read_certificates(source)) == serials


def test_what_is_no_package_of_certificates_is_refused(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    good = certificate(authority, "Một Hai").public_bytes(Encoding.DER)
    for content in (b"no zip", packed(("big.cer", b"0" * 70_000)), packed(("a.cer", good))[:-30]):
        path.write_bytes(content)
        refused(Unreadable, lambda: read_certificates(path))
    for content in (packed(("readme.txt", b"x")), packed(("bad.cer", b"x"))):
        path.write_bytes(content)
        refused(Forbidden, lambda: read_certificates(path))
    refused(Unreadable, lambda: read_certificates(tmp_path / "missing.zip"))


def test_a_list_without_the_headings_is_refused(
    world: World, one: tuple[str, dict[str, str], dict[str, str]]
) -> None:
    code, person, _ = one
    made = for_person(world.authority, person)
    error = refused(Forbidden, lambda: take(world, code, read_rows(b"a;b\n1;2\n"), files(made)))
    assert "Số hiệu chứng thư" in str(error)


def test_the_command_says_what_was_matched_and_why_not(world: World, tmp_path: Path) -> None:
    people = somebodies(2)
    _, code = sent(world, people)
    made = [
        for_person(world.authority, people[0]),
        for_person(world.authority, people[1], name="Lê Thị Khác"),
    ]
    listed, package = tmp_path / "list.csv", tmp_path / "all.zip"
    listed.write_bytes(as_csv(provider_list(zip(people, made, strict=True))))
    package.write_bytes(packed(*((f"{n}.cer", c.public_bytes(Encoding.DER)) for n, c in enumerate(made))))
    words = ("registration", "issued", code, listed, "--certificates", package)
    said = world.type(*words)
    assert said.code == 1
    assert (
        "row 4, “Số hiệu chứng thư” names a certificate for somebody with another name [CER-10]" in said.out
    )
    said = world.type(*words, "--accept-good-rows")
    assert said.out.endswith("1 certificates matched, 0 were before, 1 refused; 0 on record at our offices\n")
    status = world.type("registration", "status", code, "--json").json
    assert status["issued"] == {"individual": 1}
    assert [
        r.state
        for r in read_rows_of(
            code,
            by=world.officer(
                world.ask("select office from registration_round where code = :c", c=code)[0][0]
            ),
        )
    ] == ["Issued", "Sent"]
