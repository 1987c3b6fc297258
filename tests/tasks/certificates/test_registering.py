"""A certificate speaks for somebody only after its key has shown itself on a real token (CER-10, SIG-13)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from infra.chance import random_bytes
from infra.stack.pki_control import reinstate, revoke
from infra.token.proving import PREFIX
from tests.tasks.certificates.conftest import LAM, NOBODY_HAS_ONE, UNIT, Desk, sha256_of


def test_a_registered_certificate_is_bound_to_its_key_on_its_token(desk: Desk) -> None:
    file = desk.certificate(desk.key("01"))
    said = desk.register(file, "01")
    assert said.code == 0, said.err
    assert said.json["state"] == "active"
    assert desk.told(sha256_of(file)) == [
        "certificate:testing",
        "certificate:registered",
        "certificate:activated",
    ]
    (device,) = desk.done("token", "list", "--office", desk.office)
    assert device["model"].startswith("SoftHSM")
    assert device["keeper"] == "ha"
    # The name on record is RFC 7512 with the token's serial number, never a slot.
    assert f"serial={device['serial']};id=%01" in said.json["uri"]
    (entry,) = [
        e for e in desk.world.told(f"certificate/{sha256_of(file)}") if e["event"] == "certificate:registered"
    ]
    assert entry["key"] == {
        "private": True, "sensitive": True, "extractable": False, "always_sensitive": True,
        "never_extractable": True, "local": True, "sign": True, "always_authenticate": False,
    }  # fmt: skip
    assert bytes.fromhex(entry["proof"]["content"]).startswith(PREFIX)
    assert "Hoàng" not in json.dumps(entry, ensure_ascii=False)


def test_registering_again_tests_the_key_again_and_changes_nothing_else(desk: Desk) -> None:
    file = desk.certificate(desk.key("01"))
    first, again = desk.register(file, "01"), desk.register(file, "01")
    assert (first.code, again.code) == (0, 0), again.err
    assert first.json == again.json
    assert desk.told(sha256_of(file))[-2:] == ["certificate:testing", "certificate:registered"]


def refused_as(desk: Desk, file: Path, key_id: str, rule: str, words: str, **options: str) -> None:
    """Register what must be refused: with its rule and reason, and nothing on record but the refusal."""
    before = desk.world.counts("certificate", "token")
    said = desk.register(file, key_id, **options)
    assert said.code == 1, said.out + said.err
    assert f"[{rule}]" in said.err
    assert words in said.err
    assert desk.world.counts("certificate", "token") == before
    assert desk.told(sha256_of(file))[-1] == "certificate:refused"


class TestTheKeyIsRefused:
    """SIG-13: what somebody else could have is nobody's own."""

    def test_when_it_was_imported(self, desk: Desk) -> None:
        file = desk.certificate(desk.imported("02"))
        refused_as(desk, file, "02", "SIG-13", "was not made on the token (CKA_LOCAL)")

    def test_when_it_can_be_taken_off_the_token(self, desk: Desk) -> None:
        file = desk.certificate(desk.imported("03", "--extractable"))
        refused_as(desk, file, "03", "SIG-13", "can be taken off the token (CKA_EXTRACTABLE)")

    def test_but_an_imported_one_is_taken_by_a_decision_on_record(self, desk: Desk) -> None:
        shipped = Path("tasks/certificates/policy.yaml").read_text(encoding="utf-8")
        policy = desk.folder / "policy.yaml"
        policy.write_text(
            shipped.replace('imported_keys_decision: ""', 'imported_keys_decision: "12/QĐ-UBND"')
        )
        file = desk.certificate(desk.imported("04"))
        said = desk.register(file, "04", HOSO_CERTIFICATE_POLICY=str(policy))
        assert said.code == 0, said.err
        registered = next(
            e
            for e in desk.world.told(f"certificate/{sha256_of(file)}")
            if e["event"] == "certificate:registered"
        )
        assert registered["decision"] == "12/QĐ-UBND"
        assert registered["key"]["local"] is False
        extractable = desk.certificate(desk.imported("05", "--extractable"))
        again = desk.register(extractable, "05", holder="lam", HOSO_CERTIFICATE_POLICY=str(policy))
        assert again.code == 1  # no decision makes a key that can be copied somebody's own

    def test_when_it_is_another_key_than_the_certificates(self, desk: Desk) -> None:
        desk.key("06")
        stranger = rsa.generate_private_key(65537, 2048).public_key()
        refused_as(
            desk, desk.certificate(stranger), "06", "PKI-05", "does not belong to the registered certificate"
        )

    def test_when_the_pin_is_wrong(self, desk: Desk) -> None:
        file = desk.certificate(desk.key("07"))
        desk.pin_file.write_text("000000\n")
        refused_as(desk, file, "07", "SIG-13", "refused the PIN")

    def test_and_a_token_that_is_not_there_is_waited_for(self, desk: Desk) -> None:
        file = desk.certificate(desk.key("08"))
        said = desk.hoso(
            "certificate", "register", "--office", desk.office, "--for", "ha", "--certificate", file,
            "--uri", "pkcs11:token=elsewhere;id=%08", "--pin-file", desk.pin_file,
        )  # fmt: skip
        assert said.code == 4


def _weak(desk: Desk) -> Path:
    return desk.certificate(rsa.generate_private_key(65537, 1024).public_key())


@pytest.mark.parametrize(
    ("make", "rule", "words"),
    [
        (lambda d: d.certificate(d.key("11"), name=LAM), "CER-10", "names Vi Văn Lâm as the person"),
        (lambda d: d.certificate(d.key("12"), unit="Sở Khác"), "CER-10", "names Sở Khác as the agency"),
        (
            lambda d: d.certificate(d.key("13"), identity="CCCD:022000000002"),
            "CER-10",
            "another identity number",
        ),
        (
            lambda d: d.certificate(d.key("14"), usages=("digital_signature",)),
            "PKI-05",
            "is for digital signature, not for signatures that bind",
        ),
        (
            lambda d: d.certificate(d.key("15"), purpose=ExtendedKeyUsageOID.TIME_STAMPING),
            "PKI-05",
            "do not include signing documents",
        ),
        (_weak, "PKI-07", "RSA with 1024 bits"),
        (lambda d: d.certificate(d.key("16"), started=100, days=90), "PKI-05", "not now"),
        (lambda d: d.certificate(d.key("1a"), started=-20), "PKI-05", "not now"),
        (lambda d: d.certificate(d.key("17"), days=20), "PKI-05", "ends on"),
        (lambda d: d.certificate(d.key("18"), days=6 * 366), "CER-05", "a new one may be for 5"),
        (
            lambda d: d.certificate(d.key("19"), by=type(d.authority)(start=d.authority.start)),
            "PKI-05",
            "does not lead to a certificate that is trusted here",
        ),
    ],
    ids=[
        "name",
        "agency",
        "identity",
        "usage",
        "purpose",
        "bits",
        "over",
        "not yet",
        "soon over",
        "years",
        "stranger",
    ],
)
def test_a_certificate_is_refused_with_its_reason_before_the_token_is_touched(
    desk: Desk, make: Callable[[Desk], Path], rule: str, words: str
) -> None:
    file = make(desk)
    refused_as(desk, file, "11", rule, words)
    assert "certificate:testing" not in desk.told(sha256_of(file))


def test_a_certificate_that_its_issuer_has_revoked_is_refused_before_the_token_is_touched(desk: Desk) -> None:
    """PKI-05: the live responder is asked, as for every signature."""
    served = desk.world.root / "pki" / "served"
    file = desk.certificate(desk.key("1b"), asked=True)
    der = x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)
    revoke(served, der, desk.world.parts.clock.now())
    try:
        refused_as(desk, file, "1b", "PKI-05", "was revoked")
        assert "certificate:testing" not in desk.told(sha256_of(file))
    finally:
        reinstate(served, der)
    assert desk.register(file, "1b").code == 0


def test_letters_in_another_case_and_an_identity_that_fits_are_the_same_person(desk: Desk) -> None:
    file = desk.certificate(desk.key("21"), unit=UNIT.upper(), identity="CCCD:022000000001")
    assert desk.register(file, "21").code == 0


def test_cer_14_a_person_has_one_active_certificate_at_an_office(desk: Desk) -> None:
    assert desk.register(desk.certificate(desk.key("22")), "22").code == 0
    refused_as(desk, desk.certificate(desk.key("23")), "23", "CER-14", "which is active")


def test_a_certificate_belongs_to_one_holder(desk: Desk) -> None:
    file = desk.certificate(desk.key("24"))
    assert desk.register(file, "24").code == 0
    said = desk.register(file, "24", holder="lam")
    assert said.code == 1
    assert f"is registered for ha of {desk.office}" in said.err


def test_a_file_that_holds_no_certificate_is_refused(desk: Desk) -> None:
    file = desk.folder / "nonsense.pem"
    file.write_bytes(random_bytes(40))
    said = desk.register(file, "01")
    assert (said.code, "[CER-10]" in said.err) == (1, True)


def test_the_agency_has_a_certificate_of_its_own(desk: Desk) -> None:
    desk.world.put(NOBODY_HAS_ONE, o=desk.office)
    file = desk.certificate(desk.key("25"), name=UNIT)
    said = desk.register(file, "25", holder="seal")
    assert said.code == 0, said.err
    assert said.json["holder"] == "seal"
    person = desk.certificate(desk.key("26"), name=UNIT)
    refused_as(desk, person, "26", "CER-10", "as the person")


def test_what_the_stack_set_up_passes_the_same_checks(desk: Desk) -> None:
    """`hoso office load --keys` looks at the proof that the set-up kept, and refuses one that was spoilt."""
    from tests.world import IMAGES

    tokens = desk.world.settings.trust_anchors.parent / "tokens.json"
    said = desk.world.hoso("office", "load", IMAGES / "office.yaml", "--keys", tokens, "--json")
    assert said.code == 0, said.err
    assert said.json["keys"] == ["seal", "official-ha", "official-lam"]
    known = json.loads(tokens.read_text())
    for spoil in (
        lambda one: one["proof"]["key"].update(local=False),
        lambda one: one["proof"]["key"].update(extractable=True),
        lambda one: one.pop("proof"),
        lambda one: one["proof"].update(signature=known["seal"]["proof"]["signature"]),
    ):
        spoilt = json.loads(tokens.read_text())
        spoil(spoilt["official-ha"])
        file = desk.folder / "tokens.json"
        file.write_text(json.dumps(spoilt))
        office = desk.folder / "office.yaml"
        text = (IMAGES / "office.yaml").read_text(encoding="utf-8").replace("H49.21", "H49.98")
        office.write_text(text)
        for image in IMAGES.glob("*.png"):
            (desk.folder / image.name).write_bytes(image.read_bytes())
        refused = desk.world.hoso("office", "load", office, "--keys", file)
        assert refused.code != 0
        assert desk.world.ask("select count(*) from office where code = 'H49.98'")[0][0] == 0
