"""What is attacked: documents of ours at every level, and what an attacker may be supposed to have."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import pikepdf
from asn1crypto import crl as asn1_crl
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

from infra.clock import HANOI
from infra.pdf.signing import sign_field
from infra.pdf.verifying.certificates import Answers, Evidence
from infra.pdf.verifying.examine import examine
from infra.pdf.verifying.findings import Report
from infra.token.software import SoftwareDevice, SoftwareToken

if TYPE_CHECKING:
    from tests.conftest import Authority

MORNING = datetime(2026, 11, 20, 9, 15, 30, tzinfo=HANOI)
EVENING = MORNING + timedelta(hours=8)

Family = Literal["SWA", "ISA", "USF", "shadow", "EAA", "SSA", "structure", "damage", "evidence"]


@dataclass(frozen=True)
class Attack:
    """One way to deceive: its name, its family, what a victim would see, and how it is done."""

    name: str
    family: Family
    says: str
    mutate: Callable[[Target], bytes]


def attack(family: Family, says: str, into: list[Attack]) -> Callable[[Callable[[Target], bytes]], Any]:
    """Put a function into a list of attacks, under its own name."""

    def take(function: Callable[[Target], bytes]) -> Callable[[Target], bytes]:
        name = f"{family.lower()}-{function.__name__.replace('_', '-')}"
        into.append(Attack(name, family, says, function))
        return function

    return take


@dataclass
class Target:
    """Documents signed by an official and an agency, and an attacker who has a key of their own."""

    authority: Authority
    form: bytes
    picture: bytes
    tokens: dict[str, SoftwareToken] = field(default_factory=dict)
    keys: dict[str, rsa.RSAPrivateKey] = field(default_factory=dict)
    forged_chain: dict[str, list[bytes]] = field(default_factory=dict)

    def token(self, name: str) -> SoftwareToken:
        """Return the key of somebody whom the authority knows."""
        if name not in self.tokens:
            key = rsa.generate_private_key(65537, 2048)
            certificate = self.authority.issue(name, key.public_key())
            self.keys[name] = key
            self.tokens[name] = SoftwareToken(
                device=SoftwareDevice(label=name, pin=""), key=key, key_id=b"\x01", certificate=certificate
            )
        return self.tokens[name]

    @cached_property
    def stranger(self) -> SoftwareToken:
        """Somebody who made a certificate for themselves, in the official's name."""
        key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Trần Thị Bình")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(self.authority.start)
            .not_valid_after(self.authority.start + timedelta(days=2000))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_signing(), critical=True)
        )
        certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
        return SoftwareToken(
            device=SoftwareDevice(label="x", pin=""), key=key, key_id=b"\x01", certificate=certificate
        )

    @cached_property
    def outsiders(self) -> dict[str, SoftwareToken]:
        """Keys under the official's and the agency's names, issued by an authority that the attacker made."""
        return self._forged("Gốc của kẻ giả mạo", "CA của kẻ giả mạo")

    @cached_property
    def impostors(self) -> dict[str, SoftwareToken]:
        """The same, by an authority that bears the names of the one that people trust."""
        return self._forged("Gốc thử nghiệm", "CA thử nghiệm")

    def _forged(self, root_name: str, name: str) -> dict[str, SoftwareToken]:
        """Return keys that an authority of these names has issued; it travels along with nobody."""
        root, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        authority = self.authority
        days = timedelta(days=2000)

        def issued(
            subject: str, public: rsa.RSAPublicKey, by: str, above: rsa.RSAPrivateKey, *, ca: bool
        ) -> bytes:
            builder = authority._builder(subject, public, by, authority.start, days)
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            builder = builder.add_extension(_signing(certificates=ca), critical=True)
            return (
                authority._identified(builder, public, above)
                .sign(above, hashes.SHA256())
                .public_bytes(Encoding.DER)
            )

        self.forged_chain[name] = [
            issued(name, key.public_key(), root_name, root, ca=True),
            issued(root_name, root.public_key(), root_name, root, ca=True),
        ]
        made = {}
        for field_name, holder in (("official", "Trần Thị Bình"), ("seal", "UBND phường Thử")):
            own = rsa.generate_private_key(65537, 2048)
            certificate = issued(holder, own.public_key(), name, key, ca=False)
            made[field_name] = SoftwareToken(
                device=SoftwareDevice(label=field_name, pin=""),
                key=own,
                key_id=b"\x01",
                certificate=certificate,
            )
        return made

    def sign_as(self, tokens: dict[str, SoftwareToken], pdf: bytes, field_name: str, **changes: Any) -> bytes:
        """Sign with forged keys, with the whole forged chain inside."""
        name = "CA của kẻ giả mạo" if tokens is self.outsiders else "CA thử nghiệm"
        return self.sign(pdf, field_name, token=tokens[field_name], chain=self.forged_chain[name], **changes)

    def sign(self, pdf: bytes, field_name: str, **changes: Any) -> bytes:
        """Sign as this project does."""
        arguments: dict[str, Any] = {
            "token": self.token("Trần Thị Bình" if field_name == "official" else "UBND phường Thử"),
            "image": self.picture,
            "at": MORNING,
            "certify": field_name == "official",
            "name": None,
            "location": "Hà Nội",
            "reason": "Chứng thực bản sao: KT. CHỦ TỊCH, PHÓ CHỦ TỊCH" if field_name == "official" else None,
            "chain": self.authority.chain,
        }
        return sign_field(pdf, field=field_name, **{**arguments, **changes})

    @cached_property
    def once(self) -> bytes:
        """Signed by the official; the seal's field is empty."""
        return self.sign(self.form, "official")

    @cached_property
    def twice(self) -> bytes:
        """Signed and sealed, level B."""
        return self.sign(self.once, "seal", at=MORNING + timedelta(minutes=2))

    @cached_property
    def approved(self) -> bytes:
        """Signed by the official without certifying anything, as other agencies do."""
        return self.sign(self.form, "official", certify=False)

    @cached_property
    def other(self) -> bytes:
        """Another document, signed and sealed by the same people."""
        with pikepdf.open(io.BytesIO(self.form)) as document:
            document.pages[0].Contents = document.make_stream(b"0.2 g 50 500 300 80 re f")
            out = io.BytesIO()
            document.save(out, min_version="1.7")
        return self.sign(self.sign(out.getvalue(), "official"), "seal", at=MORNING + timedelta(minutes=3))

    @cached_property
    def stamped(self) -> bytes:
        """Signed, sealed, and one time-stamp over all: level T."""
        return self.timestamp(self.twice)

    @cached_property
    def with_evidence(self) -> bytes:
        """Signed, sealed, with a security store that nobody has time-stamped."""
        return self.add_evidence(self.twice)

    @cached_property
    def lta(self) -> bytes:
        """Signed, sealed, evidence, and a time-stamp over all: level LTA."""
        return self.timestamp(self.with_evidence)

    def timestamp(self, pdf: bytes, at: datetime = EVENING) -> bytes:
        """Append a document time-stamp of the test's time-stamping authority."""
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        stamper = DummyTimeStamper(
            *self._authority_for_time, certs_to_embed=SimpleCertificateStore(), fixed_dt=at
        )
        out = PdfTimeStamper(stamper).timestamp_pdf(writer, "sha256", bytes_reserved=12_000)
        return bytes(out.getbuffer())

    @cached_property
    def _authority_for_time(self) -> tuple[asn1_x509.Certificate, asn1_keys.PrivateKeyInfo]:
        key = rsa.generate_private_key(65537, 2048)
        authority = self.authority
        certificate = (
            authority._builder(
                "Dấu thời gian", key.public_key(), "CA thử nghiệm", authority.start, timedelta(days=3000)
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_signing(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .sign(authority.key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return (
            asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER)),
            asn1_keys.PrivateKeyInfo.load(private),
        )

    def add_evidence(
        self, pdf: bytes, *, crls: list[Any] | None = None, certs: list[Any] | None = None
    ) -> bytes:
        """Append a security store, by default with everything that is needed."""
        certs = certs if certs is not None else [asn1_x509.Certificate.load(c) for c in self.authority.chain]
        out = io.BytesIO(pdf)
        DocumentSecurityStore.add_dss(
            out, sig_contents=None, certs=certs, crls=self.crls if crls is None else crls, ocsps=[]
        )
        return out.getvalue()

    @cached_property
    def crls(self) -> list[asn1_crl.CertificateList]:
        """The revocation lists of both authorities; nobody is on them."""
        authority = self.authority
        return [
            self.crl(authority.root_certificate, authority.root_key),
            self.crl(authority.certificate, authority.key),
        ]

    def crl(
        self,
        issuer: x509.Certificate,
        key: rsa.RSAPrivateKey,
        *,
        revoked: dict[int, datetime] | None = None,
        days: int = 30,
        start: datetime = MORNING,
    ) -> asn1_crl.CertificateList:
        """Make a revocation list."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(start - timedelta(days=1))
            .next_update(start + timedelta(days=days))
        )
        for serial, day in (revoked or {}).items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(day)
            builder = builder.add_revoked_certificate(entry.build())
        return asn1_crl.CertificateList.load(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))

    def evidence(self, *, crls: list[Any] | None = None, anchors: list[bytes] | None = None) -> Evidence:
        """What a verifier is given: the root, and the lists in a folder."""
        folder = Answers(crls=tuple(self.crls if crls is None else crls))
        chosen = self.authority.anchors if anchors is None else anchors
        return Evidence(
            anchors=tuple(asn1_x509.Certificate.load(one) for one in chosen), answers={"folder": folder}
        )

    def examined(self, pdf: bytes, *, at: datetime = MORNING + timedelta(days=1), **given: Any) -> Report:
        """Examine a document in this process."""
        return examine("a.pdf", pdf, evidence=self.evidence(**given), at=at)


def _signing(*, certificates: bool = False) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    wanted = ("key_cert_sign", "crl_sign") if certificates else ("digital_signature", "content_commitment")
    return x509.KeyUsage(**{n: n in wanted for n in names.split()})


def changed(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """Append a change as a well-formed increment."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def gaps(pdf: bytes) -> list[tuple[int, int]]:
    """Return the places of the signatures' values, in the order of signing."""
    reader = PdfFileReader(io.BytesIO(pdf))
    found = [[int(n) for n in one.byte_range] for one in reader.embedded_signatures]
    return sorted((numbers[1], numbers[2]) for numbers in found)


def startxref(pdf: bytes) -> int:
    """Return what the last line but one points at."""
    return int(pdf[: pdf.rindex(b"%%EOF")].split()[-1])


def raw_increment(
    pdf: bytes, objects: dict[int, bytes], *, trailer: bytes = b"", listed: bool = True
) -> bytes:
    """Append objects with a table of their own, written by hand; `listed=False` leaves them out of it."""
    out = bytearray(pdf)
    places = {}
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n"
    for number, place in sorted(places.items()) if listed else ():
        out += b"%d 1\n%010d 00000 n \n" % (number, place)
    with pikepdf.open(io.BytesIO(pdf)) as document:
        root, size = document.Root.objgen[0], int(document.trailer.Size)
    highest = max([size, *(n + 1 for n in objects)])
    out += b"trailer\n<< /Root %d 0 R /Size %d /Prev %d " % (root, highest, startxref(pdf)) + trailer
    return bytes(out + b">>\nstartxref\n%d\n%%%%EOF\n" % table)


def number_of(pdf: bytes, choose: Callable[[pikepdf.Pdf], pikepdf.Object]) -> int:
    """Return the number of an object."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        return choose(document).objgen[0]


def body_of(pdf: bytes, number: int) -> bytes:
    """Return an object as it would be written anew."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        return document.get_object((number, 0)).unparse(resolved=True)
