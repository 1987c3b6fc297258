"""Keys are made on the tokens, cannot leave them, and have certificates that others accept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from infra.environment import environment
from infra.settings import read_secret
from infra.stack import token_keys
from infra.stack.layout import PROJECT, Place
from infra.stack.softhsm import MODULE, SAMPLE_PKI, Tokens

#: Runs beside the test, because a PKCS#11 module reads its configuration once in a process.
ASK_TOKEN = """
import json, sys
import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
module, label, pin, key_id = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=label).open(user_pin=pin) as session:
    (key,) = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: key_id.encode()})
    flags = {name: bool(key[getattr(Attribute, name)]) for name in
        ("SENSITIVE", "ALWAYS_SENSITIVE", "EXTRACTABLE", "NEVER_EXTRACTABLE", "LOCAL", "PRIVATE", "SIGN")}
    signature = key.sign(b"a document", mechanism=Mechanism.SHA256_RSA_PKCS)
    print(json.dumps({"flags": flags, "signature": signature.hex()}))
"""


def ask_token(root: Path, token: str, key_id: str) -> dict[str, object]:
    """Sign with a key, and return what the token says of it."""
    pin = read_secret(root / "secrets" / f"pin_{token}")
    done = subprocess.run(
        [sys.executable, "-c", ASK_TOKEN, str(MODULE), token, pin, key_id],
        env=environment({"SOFTHSM2_CONF": str(root / "softhsm2.conf")}),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def certificate(root: Path, key_id: str) -> x509.Certificate:
    """Return the certificate of a key."""
    known = json.loads((root / "pki" / "tokens.json").read_text(encoding="utf-8"))
    return x509.load_pem_x509_certificate(Path(known[key_id]["certificate"]).read_bytes())


@pytest.mark.parametrize(
    ("token", "key_id"), [("officials", "official-ha"), ("officials", "official-lam"), ("seal", "seal")]
)
def test_a_key_signs_cannot_leave_its_token_and_is_the_certificates(
    stack_root: Path, token: str, key_id: str
) -> None:
    answer = ask_token(stack_root, token, key_id)
    assert answer["flags"] == {
        "SENSITIVE": True,
        "ALWAYS_SENSITIVE": True,
        "EXTRACTABLE": False,
        "NEVER_EXTRACTABLE": True,
        "LOCAL": True,
        "PRIVATE": True,
        "SIGN": True,
    }
    public = certificate(stack_root, key_id).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(bytes.fromhex(str(answer["signature"])), b"a document", padding.PKCS1v15(), hashes.SHA256())


def test_certificates_are_what_signing_documents_asks_for(stack_root: Path) -> None:
    found = certificate(stack_root, "official-ha")
    usage = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.content_commitment
    assert not usage.key_cert_sign
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION in purposes
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["ha.hoang@binhlieu.example"]
    assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "Hoàng Thị Thu Hà"


def test_another_programs_rules_accept_the_chain(stack_root: Path) -> None:
    pki = stack_root / "pki"
    for leaf in ("seal", "official-ha", "official-lam"):
        done = subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-purpose", "smimesign"),
                *(
                    "-CAfile",
                    str(pki / "anchors" / "root.pem"),
                    "-untrusted",
                    str(pki / "chain" / "issuing.pem"),
                ),
                str(pki / f"{leaf}.pem"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_keys_stay_and_a_new_entry_gets_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place.at(tmp_path / "stack")
    Tokens().prepare(place)
    before = {path.name: path.read_bytes() for path in (place.root / "pki").glob("*.pem")}
    longer = tmp_path / "longer.yaml"
    entry = (
        "\n  - {id: new, token: officials, common_name: Lò Thị Mới, organisation: UBND, email: a@b.example}\n"
    )
    longer.write_text(SAMPLE_PKI.read_text(encoding="utf-8") + entry, encoding="utf-8")
    monkeypatch.setattr("infra.stack.softhsm.SAMPLE_PKI", longer)
    assert not Tokens().ready(place)
    Tokens().prepare(place)
    assert Tokens().ready(place)
    after = {path.name: path.read_bytes() for path in (place.root / "pki").glob("*.pem")}
    assert after.pop("new.pem")
    assert after == before
    assert ask_token(place.root, "officials", "new")["signature"]


def test_a_run_that_ended_before_a_key_was_written_down_is_gone_on_with(tmp_path: Path) -> None:
    place = Place.at(tmp_path / "stack")
    Tokens().prepare(place)
    known = json.loads((place.root / "pki" / "tokens.json").read_text(encoding="utf-8"))
    del known["official-lam"]
    (place.root / "pki" / "tokens.json").write_text(json.dumps(known), encoding="utf-8")
    assert [entry.id for entry in _missing(place)] == ["official-lam"]
    Tokens().prepare(place)
    assert not _missing(place)
    answer = ask_token(place.root, "officials", "official-lam")  # one key only, and the certificate's
    public = certificate(place.root, "official-lam").public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(bytes.fromhex(str(answer["signature"])), b"a document", padding.PKCS1v15(), hashes.SHA256())


def _missing(place: Place) -> list[token_keys.Entry]:
    """Return the entries without a key."""
    keyring = token_keys.Keyring(
        module=MODULE, entries=SAMPLE_PKI, pki=place.root / "pki", secrets=place.root / "secrets"
    )
    return token_keys.missing_keys(keyring)
