"""A desk with a real SoftHSM2: offices without keys, keys of every kind, certificates of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.world import IMAGES, PIN, Said, World

if TYPE_CHECKING:
    from tests.conftest import Authority, SoftHsm

UNIT = "Ủy ban nhân dân xã Thử Nghiệm"
HA = "Hoàng Thị Thu Hà"
LAM = "Vi Văn Lâm"
IMAGE = IMAGES / "hoang-thi-thu-ha.png"
_LABELS = count(1)
#: Takes away the certificates that an office of the tests comes with.
NOBODY_HAS_ONE = (
    "update certificate set state = 'revoked', revoked_at = registered_at, ended_at = registered_at"
    " where office = :o"
)


@dataclass
class Desk:
    """One office without certificates, and a token of its own."""

    world: World
    authority: Authority
    softhsm: SoftHsm
    folder: Path
    office: str
    token: str
    pin_file: Path

    def hoso(self, *words: object, **settings: str) -> Said:
        """Run a command in a process of its own, on this SoftHSM2 and with the tests' authority trusted."""
        return self.world.hoso(
            *words,
            by=None,
            HOSO_SESSION_FILE=str(self.world.desk(self.office, "an")),
            HOSO_REVOCATION_POLICY="hard-fail",
            HOSO_SOFTHSM2_CONF=str(self.softhsm.conf),
            HOSO_TRUST_ANCHORS=str(self.folder / "anchors"),
            **settings,
        )

    def done(self, *words: object) -> Any:
        """Run a command that must succeed and return what it printed as JSON."""
        said = self.hoso(*words, "--json")
        assert said.code == 0, said.err
        return said.json

    def key(self, key_id: str) -> rsa.RSAPublicKey:
        """Make a key on the token."""
        return self.softhsm.make_key(self.token, key_id)

    def imported(self, key_id: str, *flags: str) -> rsa.RSAPublicKey:
        """Make a key elsewhere and put it on the token."""
        key = rsa.generate_private_key(65537, 2048)
        file = self.folder / f"key-{key_id}.der"
        file.write_bytes(key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        self.softhsm._run(
            "pkcs11-tool", "--module", str(self.softhsm.module), "--token-label", self.token, "--login",
            "--pin", PIN, "--write-object", str(file), "--type", "privkey", "--id", key_id, "--usage-sign", *flags,
        )  # fmt: skip
        return key.public_key()

    def certificate(
        self,
        key: rsa.RSAPublicKey,
        *,
        name: str = HA,
        unit: str = UNIT,
        days: int = 1000,
        started: int = 0,
        usages: Sequence[str] = ("digital_signature", "content_commitment"),
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.EMAIL_PROTECTION,
        identity: str = "",
        by: Authority | None = None,
        asked: bool = False,
    ) -> Path:
        """
        Issue a certificate and return its file; `started` is how many days ago it began.

        With `asked` it names where its issuer is asked about revocation.
        """
        authority = by or self.authority
        begins = datetime.now(tz=authority.start.tzinfo).replace(microsecond=0) - timedelta(
            days=started, hours=1
        )
        attributes = [
            (NameOID.COUNTRY_NAME, "VN"),
            (NameOID.ORGANIZATION_NAME, unit),
            (NameOID.COMMON_NAME, name),
        ]
        attributes += [(NameOID.USER_ID, identity)] if identity else []
        names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        names += " key_cert_sign crl_sign encipher_only decipher_only"
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes]))
            .issuer_name(authority.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**{n: n in usages for n in names.split()}), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
            )
        )
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        builder = authority._asked_about(builder, authority.label if asked else "")
        made = builder.sign(authority.key, hashes.SHA256())
        file = self.folder / f"{made.serial_number:x}.pem"
        file.write_bytes(made.public_bytes(Encoding.PEM))
        return file

    def uri(self, key_id: str) -> str:
        """Return the name of a key on the token."""
        return f"pkcs11:token={self.token};id=%{key_id};type=private"

    def register(self, file: Path, key_id: str, *more: object, holder: str = "ha", **settings: str) -> Said:
        """Register a certificate as a clerk would."""
        return self.hoso(
            "certificate", "register", "--office", self.office, "--for", holder, "--certificate", file,
            "--uri", self.uri(key_id), "--image", IMAGE, "--pin-file", self.pin_file, "--json", *more,
            **settings,
        )  # fmt: skip

    def state(self, sha256: str) -> str:
        """Return the state on record of a certificate."""
        return str(self.world.ask("select state from certificate where sha256 = :s", s=sha256)[0][0])

    def told(self, sha256: str) -> list[str]:
        """Return what the history says of a certificate."""
        return self.world.events(f"certificate/{sha256}")


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a certificate."""
    return x509.load_pem_x509_certificate(file.read_bytes()).fingerprint(hashes.SHA256()).hex()


@pytest.fixture
def desk(world: World, authority: Authority, softhsm: SoftHsm, tmp_path: Path) -> Desk:
    """An office whose people have no certificates yet, and an empty token."""
    trusted = world.authority
    for name, made in (("anchors", trusted.root_certificate), ("chain", trusted.certificate)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.pem").write_bytes(made.public_bytes(Encoding.PEM))
    office = world.office()
    world.put(NOBODY_HAS_ONE + " and holder <> ''", o=office)
    label = f"desk{next(_LABELS)}"
    softhsm.make_token(label)
    pin = tmp_path / "pin"
    pin.write_text(PIN + "\n")
    return Desk(
        world=world,
        authority=trusted,
        softhsm=softhsm,
        folder=tmp_path,
        office=office,
        token=label,
        pin_file=pin,
    )
