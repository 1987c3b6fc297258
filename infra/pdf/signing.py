"""
One signature in one field: PAdES baseline level B or T (ETSI EN 319 142-1), as an incremental update.

What is written is decided by the arguments alone, and the only thing touched is the token, once. Who
may sign, in what order, and which of two results is kept is decided elsewhere.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from tempfile import TemporaryFile

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.validation import read_certification_data
from pyhanko_certvalidator import CertificateValidator
from pyhanko_certvalidator.errors import (
    ExpiredError,
    InvalidCertificateError,
    NotYetValidError,
    PathBuildingError,
    PathValidationError,
)

from infra.clock import HANOI
from infra.errors import Broken, Forbidden
from infra.pdf.appearance import appearance
from infra.pdf.cms import DIGEST, TokenSigner, blank_cms
from infra.pdf.lettering import Lettering
from infra.pdf.stamping import TOKEN_ROOM, PortStamper
from infra.pdf.trust import context, finish, parsed
from infra.timestamp import Timestamps
from infra.token import Token

#: Keys shorter than this are refused for new signatures (PKI-07).
_SHORTEST_RSA_KEY = 2048  # bits

#: A document of more bytes than this is not held in memory more often than must be.
_LARGE = 16_000_000


def check_certificate(
    certificate: bytes, *, anchors: Sequence[bytes], chain: Sequence[bytes], at: datetime
) -> None:
    """
    Return if a signature made with this certificate at that moment would stand (PKI-05, PKI-07).

    Checked, before any token is touched: RSA key long enough, key usage non-repudiation, validity of
    the certificate and of those above it, algorithms, a path to one of the `anchors` (all DER). Raises
    `Forbidden` with the reason. Revocation is asked about by the caller, through `infra.revocation`.
    """
    _must_be_aware(at)
    asked = (certificate, tuple(anchors), tuple(chain))
    since, until = _STANDS.get(asked, (at, at))
    if since < at < until:
        return
    found = parsed(certificate)
    which = f"The signing certificate {found.serial_number:x}"
    if found.public_key.algorithm != "rsa" or found.public_key.bit_size < _SHORTEST_RSA_KEY:
        raise _refused(f"{which} has no RSA key of at least {_SHORTEST_RSA_KEY} bits.", rule="PKI-07")
    usage = found.key_usage_value
    if usage is None or "non_repudiation" not in usage.native:
        raise _refused(f"{which} is not for signatures that bind a person (non-repudiation).")
    validator = CertificateValidator(
        found,
        intermediate_certs=[parsed(link) for link in chain],
        validation_context=context(anchors=anchors, chain=chain, at=at),
    )
    try:
        path = finish(validator.async_validate_usage({"non_repudiation"}))  # type: ignore[no-untyped-call]
    except ExpiredError as error:
        raise _refused(f"{which}, or one above it, expired on {_day(error.expired_dt)}.") from error
    except NotYetValidError as error:
        raise _refused(f"{which}, or one above it, is not valid before {_day(error.valid_from)}.") from error
    except PathBuildingError as error:
        raise _refused(f"{which} does not lead to a certificate that is trusted here.") from error
    except (PathValidationError, InvalidCertificateError) as error:
        raise _refused(f"{which} cannot be used: {error}") from error
    links = list(path.iter_certs(include_root=True))
    if len(_STANDS) >= _MOST_STANDING:
        _STANDS.clear()
    _STANDS[asked] = max(one.not_valid_before for one in links), min(one.not_valid_after for one in links)


#: Certificates that stood, under which anchors, and from when until when they do: as long as all on the path that was
#: found are valid, nothing that is asked here changes.
_STANDS: dict[tuple[bytes, tuple[bytes, ...], tuple[bytes, ...]], tuple[datetime, datetime]] = {}
_MOST_STANDING = 200


def sign_field(
    pdf: bytes,
    *,
    field: str,
    token: Token,
    image: bytes | None,
    at: datetime,
    certify: bool,
    name: str | None,
    location: str | None,
    reason: str | None,
    chain: Sequence[bytes],
    text: Lettering | None = None,
    timestamps: Timestamps | None = None,
) -> bytes:
    """
    Return `pdf` with its empty signature field `field` signed: `pdf` itself, and an increment after it.

    `image` (PNG, transparent), `text`, or the one above the other is all that is shown. `at` (aware) is the
    signing time that the PDF states, in Hà Nội time. `certify` makes it the first signature, after which fields
    may be filled in and nothing else may change; without it, it approves. `chain` are the certificates
    (DER) between the signer's and a root. Dates and trust of the certificate are not looked at here:
    see `check_certificate`. With `timestamps` the signature's value is time-stamped and the token put into
    the signature, which makes it level T; the request follows the call of the token.

    The token is called once, after everything that can be refused was. Raises what `Token.sign`
    raises, and `NoTimestamp`; `Forbidden` for a field that is signed already, a second certification, or
    a document that allows no further signature; `Broken` for a field that does not exist or a PDF that
    cannot be extended. It may be called with or without an event loop running in this thread.
    """
    _must_be_aware(at)
    with _translated():
        writer = _Increment(io.BytesIO(pdf))
        _must_be_open(writer.prev, field=field, certify=certify)
        metadata = PdfSignatureMetadata(
            field_name=field,
            md_algorithm=DIGEST,
            subfilter=SigSeedSubFilter.PADES,
            certify=certify,
            docmdp_permissions=MDPPerm.FILL_FORMS,
            name=name,
            location=location,
            reason=reason,
        )
        signer = TokenSigner.of(token, chain)
        blank = blank_cms(token.certificate, tuple(chain))
        stamper = PortStamper(timestamps, at) if timestamps is not None else None
        session = PdfSigner(
            metadata, signer, timestamper=stamper, stamp_style=appearance(image, text)
        ).init_signing_session(writer, existing_fields_only=True)
        session.system_time = at.astimezone(HANOI)
        # The size of the CMS object is known, so no trial signature measures it, and no room stays
        # unused, where bytes could be hidden that no signature covers. It is counted in hex digits.
        # Only a time-stamp needs room that cannot be known before.
        room = len(blank.encoded) + (TOKEN_ROOM if stamper is not None else 0)
        document = session.prepare_tbs_document(None, bytes_reserved=2 * room)
        # A large document is put together in a file: in memory it would be there three times.
        output = TemporaryFile() if len(pdf) > _LARGE else io.BytesIO()  # noqa: SIM115  Closed below.
        digest, _ = document.digest_tbs_document(output=output)
        finish(document.perform_signature(digest.document_digest, PdfCMSSignedAttributes()))
    with output:
        output.seek(0)
        return output.read()


class _Increment(IncrementalPdfFileWriter):
    """An update that adds a signature and leaves the document's metadata as its author wrote it."""

    def _update_meta(self) -> None:
        """
        Write neither a new producer nor a new date.

        pyHanko would take the date from this machine's clock, and metadata that changes after a
        signature is one more change to explain to whoever checks it.
        """


def _must_be_open(reader: PdfFileReader, *, field: str, certify: bool) -> None:
    """Raise unless the field waits for a signature and the document may take one of this kind."""
    fields = {found: value for found, value, _ in enumerate_sig_fields(reader)}
    if field not in fields:
        raise Broken(f"The document has no signature field {field}.")
    if fields[field] is not None:
        raise Forbidden(
            f"The signature field {field} is signed already.",
            rule="PKI-08",
            way_out="Keep the signature that is there; a signature is never replaced.",
        )
    if certify and any(value is not None for value in fields.values()):
        raise Forbidden(
            "A certifying signature can only be a document's first.",
            rule="PKI-08",
            way_out="Sign with approval, or start again from the document without signatures.",
        )
    certification = read_certification_data(reader)
    if certification is not None and certification.permission == MDPPerm.NO_CHANGES:
        raise Forbidden(
            "The document was certified so that nobody may sign it any more.",
            rule="PKI-08",
            way_out="Send it with a signed delivery note instead.",
        )


@contextmanager
def _translated() -> Iterator[None]:
    """Turn pyHanko's exceptions into decisions; the token's pass as they are."""
    try:
        yield
    except SigningError as error:
        raise Broken(f"The document could not be signed ({type(error).__name__}).") from error
    except PdfError as error:
        raise Broken(f"The PDF cannot be read or extended ({type(error).__name__}).") from error


def _must_be_aware(at: datetime) -> None:
    """Raise `Broken` for a time without a zone, which would be guessed at otherwise."""
    if at.utcoffset() is None:
        raise Broken("A signing time without a time zone says nothing.")


def _refused(message: str, *, rule: str = "PKI-05") -> Forbidden:
    """Refuse a certificate."""
    return Forbidden(
        message, rule=rule, way_out="Sign with a certificate that is valid now, or renew this one."
    )


def _day(moment: datetime) -> str:
    """Return a day as it is written in Việt Nam."""
    return moment.astimezone(HANOI).strftime("%d/%m/%Y")
