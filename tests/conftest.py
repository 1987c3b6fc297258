"""What several suites need: a test authority, a real SoftHSM2, and a form that waits for two signatures."""

from __future__ import annotations

import io
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image, ImageDraw
from xdist.remote import Producer

from infra.clock import SystemClock
from infra.environment import environment
from infra.services import using
from infra.stack.authorities import serve_issuer, sources
from tests.sharing import Shares, in_order
from tests.world import World, running

# A run that is asked to end takes its stacks down, as one that is interrupted by hand does.
# Both are set, because who starts tests in the background may have had SIGINT ignored.
signal.signal(signal.SIGTERM, signal.default_int_handler)
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is slow for a moment is no finding: how long an example takes is for the benchmarks.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Shares:
    """Share the tests out among processes."""
    return Shares(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    in_order(items)


MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "428571"


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Thử nghiệm"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass
class Authority:
    """A root, an authority under it, and whatever certificates a test asks for."""

    root_key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    #: Under which names the stack answers for the root and for the authority; empty: nobody answers.
    root_label: str = ""
    label: str = ""

    def __post_init__(self) -> None:
        self.root_certificate = self._ca(
            "Gốc thử nghiệm", self.root_key, by="Gốc thử nghiệm", key=self.root_key
        )
        self.certificate = self._ca(
            "CA thử nghiệm", self.key, by="Gốc thử nghiệm", key=self.root_key, label=self.root_label
        )

    @property
    def anchors(self) -> Sequence[bytes]:
        return [self.root_certificate.public_bytes(Encoding.DER)]

    @property
    def chain(self) -> Sequence[bytes]:
        return [self.certificate.public_bytes(Encoding.DER)]

    def _ca(
        self,
        subject: str,
        subject_key: rsa.RSAPrivateKey,
        *,
        by: str,
        key: rsa.RSAPrivateKey,
        label: str = "",
    ) -> x509.Certificate:
        builder = self._builder(subject, subject_key.public_key(), by, self.start, timedelta(days=7300))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        builder = self._asked_about(builder, label)
        return self._identified(builder, subject_key.public_key(), key).sign(key, hashes.SHA256())

    def issue(
        self,
        common_name: str,
        public_key: rsa.RSAPublicKey,
        *,
        start: datetime | None = None,
        days: int = 1000,
        non_repudiation: bool = True,
        signs: bool = True,
    ) -> bytes:
        """Return a signing certificate (DER); without `signs` one that is good for encryption only."""
        builder = self._builder(
            common_name, public_key, "CA thử nghiệm", start or self.start, timedelta(days=days)
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            _usage(
                digital_signature=signs,
                content_commitment=signs and non_repudiation,
                key_encipherment=not signs,
            ),
            critical=True,
        )
        # poppler trusts only certificates that are good for e-mail.
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        builder = self._asked_about(builder, self.label)
        certificate = self._identified(builder, public_key, self.key).sign(self.key, hashes.SHA256())
        return certificate.public_bytes(Encoding.DER)

    @staticmethod
    def _asked_about(builder: x509.CertificateBuilder, label: str) -> x509.CertificateBuilder:
        for extension, critical in sources(label) if label else ():
            builder = builder.add_extension(extension, critical=critical)
        return builder

    def serve(self, served: Path) -> None:
        """Let a stack answer for the root and the authority, which name it in what they issue."""
        serve_issuer(served, self.root_label, self.root_certificate, self.root_key)
        serve_issuer(served, self.label, self.certificate, self.key)

    @staticmethod
    def _builder(
        subject: str, key: rsa.RSAPublicKey, issuer: str, start: datetime, span: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + span)
        )

    @staticmethod
    def _identified(
        builder: x509.CertificateBuilder, key: rsa.RSAPublicKey, issuer_key: rsa.RSAPrivateKey
    ) -> x509.CertificateBuilder:
        return builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key), critical=False
        ).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )


def _usage(**true: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: true.get(name, False) for name in names.split()})


@dataclass
class SoftHsm:
    """A SoftHSM2 of this session, with a configuration and a folder of its own."""

    folder: Path

    def __post_init__(self) -> None:
        self.conf = self.folder / "softhsm2.conf"
        self.module = MODULE
        (self.folder / "tokens").mkdir()
        self.conf.write_text(f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\n")

    def make_token(self, label: str, *, pin: str = PIN) -> None:
        """Initialise a token."""
        self._run(
            "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "12345678"
        )

    def make_key(self, token: str, key_id: str, *, pin: str = PIN) -> rsa.RSAPublicKey:
        """Make an RSA key on a token and return its public half; `key_id` is hexadecimal."""
        tool = ("pkcs11-tool", "--module", str(MODULE), "--token-label", token)
        login = ("--login", "--pin", pin)
        self._run(*tool, *login, "--keypairgen", "--key-type", "rsa:2048", "--id", key_id, "--usage-sign")
        return self.public_key(token, key_id)

    def public_key(self, token: str, key_id: str) -> rsa.RSAPublicKey:
        """Return the public half of a key on a token."""
        tool = ("pkcs11-tool", "--module", str(MODULE), "--token-label", token)
        public = self._run(*tool, "--read-object", "--type", "pubkey", "--id", key_id)
        key = load_der_public_key(public)
        assert isinstance(key, rsa.RSAPublicKey)
        return key

    def _run(self, *command: str) -> bytes:
        return subprocess.run(
            command, env=environment({"SOFTHSM2_CONF": str(self.conf)}), check=True, capture_output=True
        ).stdout


@pytest.fixture(scope="session")
def authority() -> Authority:
    """A certification authority of the tests' own."""
    return Authority()


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """A real SoftHSM2. There is one a session, because a process can load it with one configuration only."""
    if not MODULE.exists():
        pytest.skip("SoftHSM2 is not installed")
    return SoftHsm(tmp_path_factory.mktemp("softhsm"))


@pytest.fixture(scope="session")
def form() -> bytes:
    """A one-page PDF with two empty signature fields, `official` and `seal`, the seal on the left."""
    document = pikepdf.new()
    page = document.add_blank_page(page_size=(595, 842))
    page.Contents = document.make_stream(b"0.9 g 50 700 200 80 re f")
    fields = [
        _field(document, page, "official", [300, 200, 420, 260]),
        _field(document, page, "seal", [240, 180, 342, 282]),
    ]
    page.Annots = document.make_indirect(pikepdf.Array(fields))
    document.Root.AcroForm = document.make_indirect(
        pikepdf.Dictionary(Fields=pikepdf.Array(fields), SigFlags=1)
    )
    document.docinfo["/Title"] = "Một trang"
    out = io.BytesIO()
    document.save(out, min_version="1.7")
    return out.getvalue()


def _field(document: pikepdf.Pdf, page: pikepdf.Page, name: str, box: list[int]) -> pikepdf.Object:
    return document.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Sig,
            T=name, Rect=pikepdf.Array(box), F=132, P=page.obj,
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A red ring on a transparent background, as PNG."""
    image = Image.new("RGBA", (240, 240), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((10, 10, 230, 230), outline=(200, 0, 0, 255), width=12)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="session")
def running_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The one office of this session, on real servers."""
    yesterday = SystemClock().now().replace(microsecond=0) - timedelta(days=1)
    with running(
        tmp_path_factory.mktemp("world"), Authority(start=yesterday, root_label="tests-root", label="tests")
    ) as world:
        yield world


@pytest.fixture
def world(running_world: World) -> Iterator[World]:
    """A running office, whose parts are in use for the length of a test."""
    with using(running_world.parts):
        yield running_world
