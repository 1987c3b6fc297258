"""Attacks on certified documents: notes and signatures that a certification seems to allow."""

from __future__ import annotations

import io
from datetime import timedelta
from unittest.mock import patch

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter, append_signature_field
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner

from infra.pdf.cms import TokenSigner
from infra.pdf.trust import finish
from infra.token.software import SoftwareToken
from tests.attacks.saving import overlay
from tests.attacks.target import MORNING, Attack, Target, attack, changed

ATTACKS: list[Attack] = []


def certified(target: Target, permission: MDPPerm) -> bytes:
    """Return the form, certified with another permission than this project gives."""
    metadata = PdfSignatureMetadata(
        field_name="official", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES, certify=True,
        docmdp_permissions=permission,
    )  # fmt: skip
    return _signed(target, target.form, metadata, target.token("Trần Thị Bình"))


def _signed(
    target: Target,
    pdf: bytes,
    metadata: PdfSignatureMetadata,
    token: SoftwareToken,
    new: SigFieldSpec | None = None,
) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    if new is not None:
        append_signature_field(writer, new)
    chain = target.authority.chain if token in target.tokens.values() else []
    # An attacker's program does not ask whether the certification allows what it does.
    with patch.object(PdfSigner, "_enforce_certification_constraints", lambda *_: None):
        session = PdfSigner(metadata, TokenSigner.of(token, chain)).init_signing_session(writer)
    session.system_time = MORNING + timedelta(minutes=5)
    document = session.prepare_tbs_document(None, bytes_reserved=16384)
    digest, output = document.digest_tbs_document()
    finish(document.perform_signature(digest.document_digest, PdfCMSSignedAttributes()))
    return bytes(output.getbuffer())


@attack("EAA", "a note over the page of a certified document that allows signatures only", ATTACKS)
def note_where_signing_is_allowed(target: Target) -> bytes:
    return changed(target.once, lambda writer: overlay(writer, "/FreeText"))


@attack("EAA", "a note over the page of a certified document that allows notes", ATTACKS)
def note_where_notes_are_allowed(target: Target) -> bytes:
    return changed(certified(target, MDPPerm.ANNOTATE), lambda writer: overlay(writer, "/FreeText"))


@attack("EAA", "a stamp over the page of a certified document that allows notes", ATTACKS)
def stamp_where_notes_are_allowed(target: Target) -> bytes:
    return changed(certified(target, MDPPerm.ANNOTATE), lambda writer: overlay(writer, "/Stamp"))


@attack("EAA", "a blackening over the page of a certified document that allows notes", ATTACKS)
def redaction_where_notes_are_allowed(target: Target) -> bytes:
    return changed(certified(target, MDPPerm.ANNOTATE), lambda writer: overlay(writer, "/Redact"))


def _sneaky(target: Target, pdf: bytes, token: SoftwareToken, field: str = "sneaky") -> bytes:
    metadata = PdfSignatureMetadata(field_name=field, md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)
    new = SigFieldSpec(field, box=(0, 0, 595, 842)) if field == "sneaky" else None
    return _signed(target, pdf, metadata, token, new)


@attack("SSA", "a stranger's signature over the page, in a field of its own", ATTACKS)
def strangers_new_field(target: Target) -> bytes:
    return _sneaky(target, target.once, target.stranger)


@attack("SSA", "a stranger's signature in the field that waits for the seal", ATTACKS)
def strangers_seal(target: Target) -> bytes:
    return _sneaky(target, target.once, target.stranger, field="seal")


@attack("SSA", "a stranger's signature over the page, after the seal", ATTACKS)
def strangers_after_the_seal(target: Target) -> bytes:
    return _sneaky(target, target.twice, target.stranger)


@attack("SSA", "a signature by a forger's own authority over the page, in a field of its own", ATTACKS)
def outsiders_new_field(target: Target) -> bytes:
    return _sneaky(target, target.approved, target.outsiders["official"])


@attack("SSA", "a signature by a forger's own authority over the page, after the seal", ATTACKS)
def outsiders_after_the_seal(target: Target) -> bytes:
    return _sneaky(target, target.twice, target.outsiders["seal"])


@attack(
    "SSA", "a genuine signature of somebody else, in a visible field made after the certification", ATTACKS
)
def genuine_new_field(target: Target) -> bytes:
    return _sneaky(target, target.once, target.token("Lê Văn Khác"))


@attack("SSA", "a genuine signature on a document that forbids every change", ATTACKS)
def genuine_where_forbidden(target: Target) -> bytes:
    return _sneaky(target, certified(target, MDPPerm.NO_CHANGES), target.token("Lê Văn Khác"), field="seal")
