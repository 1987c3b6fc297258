"""
How fast documents are signed, beside a plain pyHanko loop over the same files with the same keys, in one run.

`python -m infra.stack.bench_sign` wants the settings of a running stack. The files are the same in every run: one page
with a colour scan of some 160 kB and two empty fields, signed twice, visibly. `ratio B` is the processor time of the
plain loop by ours, output checked; the targets are shares of the plain loop, so that they hold on any machine.
`--memory` signs a scan of 100 MB in a child and prints the most memory it held.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pikepdf
from PIL import Image, ImageChops
from pyhanko.pdf_utils.images import PdfImage
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from infra.clock import HANOI
from infra.environment import environment
from infra.pdf.checking import check_signed
from infra.pdf.evidence import Sources, lift
from infra.pdf.fields import FieldPlace, Rect, place_fields
from infra.pdf.hexadecimal import digit_by_digit
from infra.pdf.signing import sign_field
from infra.pdf.trust import finish, parsed
from infra.services import services
from infra.settings import read_secret
from infra.stack.pki_control import times_asked
from infra.timestamp import Timestamps
from infra.token import Token
from infra.token.pkcs11 import open_token

_OFFICE = Path(__file__).with_name("sample_office")
_FIELDS = ("official", "seal")
_KEYS = {"official": ("official-ha", "pin_officials"), "seal": ("seal", "pin_seal")}
#: The most that a signature may cost, and one with its output checked, as shares of the plain loop's signature.
_SHARES = {"signature": 8 / 24, "signature, output checked": 20 / 24}
#: The memory that signing 100 MB may take, in MB.
_MEMORY_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a loop took for its signatures, in seconds."""

    signatures: int
    wall: float
    cpu: float

    def __str__(self) -> str:
        """Return signatures a second and processor milliseconds a signature."""
        return f"{self.signatures / self.wall:8.1f}/s {1000 * self.cpu / self.signatures:8.1f} ms CPU"


class _Plain(Signer):
    """A signer as one writes it after pyHanko's manual: the token signs, everything else is pyHanko's."""

    def __init__(self, token: Token, chain: tuple[bytes, ...]) -> None:
        """Quote the same certificates as ours."""
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple([parsed(link) for link in chain])
        super().__init__(signing_cert=parsed(token.certificate), cert_registry=store)
        self._token = token

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        """Sign on the token."""
        return bytes(256) if dry_run else self._token.sign(data)


class Bench:
    """The stack's keys and authorities, and the files."""

    def __init__(self) -> None:
        """Open both keys in this process."""
        self.parts = services()
        pki = self.parts.settings.trust_anchors.parent
        self.served = pki / "served"
        known = json.loads((pki / "tokens.json").read_text(encoding="utf-8"))
        self.tokens = {
            field: open_token(
                known[key]["uri"],
                module=self.parts.settings.pkcs11_module,
                pin=read_secret(pki.parent / "secrets" / pin),
                certificate=_der(Path(known[key]["certificate"])),
                softhsm2_conf=self.parts.settings.softhsm2_conf,
            )
            for field, (key, pin) in _KEYS.items()
        }
        images = {"official": "hoang-thi-thu-ha.png", "seal": "seal.png"}
        self.images = {field: (_OFFICE / name).read_bytes() for field, name in images.items()}

    def ours(self, pdf: bytes, *, check: bool = False, timestamps: Timestamps | None = None) -> bytes:
        """Sign twice as hoso does."""
        for field in _FIELDS:
            at = self.parts.clock.now().astimezone(HANOI)
            signed = sign_field(
                pdf,
                field=field,
                token=self.tokens[field],
                image=self.images[field],
                at=at,
                certify=field == "official",
                name=None,
                location=None,
                reason=None,
                chain=self.parts.chain,
                timestamps=timestamps,
            )
            if check:
                check_signed(
                    pdf,
                    signed,
                    field=field,
                    certificate=self.tokens[field].certificate,
                    anchors=self.parts.anchors,
                    chain=self.parts.chain,
                    at=at,
                )
            pdf = signed
        return pdf

    def plain(self, pdf: bytes, *, stamper: HTTPTimeStamper | None = None) -> bytes:
        """Sign twice as pyHanko's manual shows."""
        for field in _FIELDS:
            picture = Image.open(io.BytesIO(self.images[field]))
            metadata = PdfSignatureMetadata(
                field_name=field,
                md_algorithm="sha256",
                subfilter=SigSeedSubFilter.PADES,
                certify=field == "official",
                docmdp_permissions=MDPPerm.FILL_FORMS,
            )
            signer = PdfSigner(
                metadata,
                _Plain(self.tokens[field], self.parts.chain),
                timestamper=stamper,
                stamp_style=StaticStampStyle(background=PdfImage(picture), border_width=0),
            )
            out = finish(signer.async_sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf))))
            pdf = out.getvalue()
        return pdf

    def lasting(self, pdf: bytes) -> bytes:
        """Sign twice, ask about every certificate, and add one time-stamp for the whole document."""
        moment = self.parts.clock.now()
        sources = Sources(
            timestamps=self.parts.timestamps,
            revocation=self.parts.revocation,
            anchors=self.parts.anchors,
            chain=self.parts.chain,
            at=moment,
        )
        return lift(self.ours(pdf), "LTA", sources, by_document=True).pdf


def _der(path: Path) -> bytes:
    """Return a PEM file's certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def make_file(number: int) -> bytes:
    """Return a page with a colour scan of some 160 kB and two empty fields; the same number, the same bytes."""
    rng = random.Random(number)  # noqa: S311  The same files every time are what is wanted.
    small = Image.frombytes("RGB", (60, 85), rng.randbytes(60 * 85 * 3))
    large = small.resize((1654, 2339), Image.Resampling.BICUBIC)
    grain = Image.frombytes("L", (827, 1170), rng.randbytes(827 * 1170)).resize(large.size)
    large = ImageChops.blend(large, Image.merge("RGB", [grain] * 3), 0.05)
    out = io.BytesIO()
    large.save(out, "JPEG", quality=18, dpi=(200, 200))
    return _page(out.getvalue(), large.size)


def _page(jpeg: bytes, size: tuple[int, int]) -> bytes:
    """Return a PDF with one picture and both fields."""
    document = pikepdf.new()
    page = document.add_blank_page(page_size=(595, 842))
    picture = pikepdf.Stream(document, jpeg)
    picture.update(
        {
            "/Type": pikepdf.Name.XObject,
            "/Subtype": pikepdf.Name.Image,
            "/Width": size[0],
            "/Height": size[1],
            "/ColorSpace": pikepdf.Name.DeviceRGB,
            "/BitsPerComponent": 8,
            "/Filter": pikepdf.Name.DCTDecode,
        }
    )
    page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im0=picture))
    page.Contents = document.make_stream(b"q 595 0 0 842 0 0 cm /Im0 Do Q")
    out = io.BytesIO()
    document.save(out, deterministic_id=True)
    places = [
        FieldPlace(name="official", page=0, rect=Rect(left=110, bottom=60, width=50, height=25)),
        FieldPlace(name="seal", page=0, rect=Rect(left=90, bottom=55, width=36, height=36)),
    ]
    return place_fields(out.getvalue(), places)


def measure(work: Callable[[bytes], bytes], files: list[bytes]) -> Result:
    """Do a piece of work for every file, once before the clock runs."""
    work(files[0])
    wall, cpu = time.perf_counter(), time.process_time()
    for pdf in files:
        work(pdf)
    return Result(
        signatures=len(_FIELDS) * len(files),
        wall=time.perf_counter() - wall,
        cpu=time.process_time() - cpu,
    )


def bench(documents: int) -> None:
    """Measure every loop and print one line each; the ratio comes last."""
    one = Bench()
    files = [make_file(number) for number in range(documents)]
    few = files[: max(1, documents // 5)]
    print(
        f"{documents} files of {sum(map(len, files)) // len(files) // 1000} kB, two visible signatures each"
    )
    with digit_by_digit():
        plain = measure(one.plain, files)
    print(f"B    plain pyHanko              {plain}")
    bare = measure(one.ours, files)
    print(f"B    hoso                       {bare}")
    checked = measure(lambda pdf: one.ours(pdf, check=True), files)
    print(f"B    hoso, output checked       {checked}")
    stamper = HTTPTimeStamper(one.parts.settings.tsa_url)
    with digit_by_digit():
        stamped = measure(lambda pdf: one.plain(pdf, stamper=stamper), few)
    print(f"T    plain pyHanko              {stamped}")
    stamps = one.parts.timestamps
    print(f"T    hoso, each signature       {measure(lambda pdf: one.ours(pdf, timestamps=stamps), few)}")
    one.lasting(few[0])
    one.parts.revocation.forget()
    before = times_asked(one.served)
    lasting = measure(one.lasting, few)
    after = times_asked(one.served)
    print(f"LTA  hoso, one for the document {lasting}")
    asked = after["tsa-primary"] - before["tsa-primary"]
    answers = after["ocsp"] - before["ocsp"] + after["crl"] - before["crl"]
    print(f"     {asked} time-stamps asked for {1 + len(few)} documents; {answers} answers on revocation")
    print("LTA  plain pyHanko              not run: it would ask the hosts that the certificates name")
    for (what, share), ours in zip(_SHARES.items(), (bare, checked), strict=True):
        print(f"     a {what}: {ours.cpu / plain.cpu:.2f} of the plain loop's, target {share:.2f}")
    print(f"ratio B {plain.cpu / checked.cpu:.2f}")


def measure_memory() -> int:
    """Sign 100 MB in a child, print the most memory that it held, and return 1 if that was too much."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.pdf"
        noise = random.Random(1).randbytes(100_000_000)  # noqa: S311  Not a secret.
        path.write_bytes(_page(noise, (10_000, 10_000)))
        command = [sys.executable, "-m", "infra.stack.bench_sign", "--sign-one", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
    most = int(said)
    print(f"signing a scan of 100 MB held {most} MB; at most {_MEMORY_LIMIT} MB are allowed")
    return int(most > _MEMORY_LIMIT)


def _sign_one(path: Path) -> None:
    """Give one file its first signature and print the most memory that this process held, in MB."""
    one = Bench()
    pdf = path.read_bytes()
    sign_field(
        pdf,
        field="official",
        token=one.tokens["official"],
        image=one.images["official"],
        at=one.parts.clock.now().astimezone(HANOI),
        certify=True,
        name=None,
        location=None,
        reason=None,
        chain=one.parts.chain,
    )
    # What `getrusage` says would count the parent too, which this process was before it became this program.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.partition("VmHWM:")[2].split()[0]) // 1000)


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description="Signatures a second, beside a plain pyHanko loop.")
    parser.add_argument("--documents", type=int, default=100, help="how many files (default: 100)")
    parser.add_argument("--memory", action="store_true", help="measure the memory for 100 MB instead")
    parser.add_argument("--sign-one", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.sign_one:
        _sign_one(chosen.sign_one)
        return 0
    if chosen.memory:
        return measure_memory()
    bench(chosen.documents)
    return 0


if __name__ == "__main__":
    sys.exit(main())
