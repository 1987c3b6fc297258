"""Evidence that was moved, made up or taken away: time-stamps and security stores."""

from __future__ import annotations

import io
from datetime import timedelta

from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import rsa
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers.pdf_signer import PdfTimeStamper
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from tests.attacks.saving import dictionary
from tests.attacks.target import EVENING, Attack, Target, attack, changed, gaps

ATTACKS: list[Attack] = []


@attack("evidence", "a time-stamp taken from another document", ATTACKS)
def time_stamp_moved(target: Target) -> bytes:
    stamped = target.timestamp(target.other)
    start, end = gaps(stamped)[-1]
    before, behind = gaps(target.stamped)[-1]
    assert end - start == behind - before
    return target.stamped[:before] + stamped[start:end] + target.stamped[behind:]


@attack("evidence", "a time-stamp of somebody who is no time-stamping authority", ATTACKS)
def time_stamp_of_an_official(target: Target) -> bytes:
    from asn1crypto import keys
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    token = target.token("Lê Văn Khác")
    private = target.keys["Lê Văn Khác"].private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    stamper = DummyTimeStamper(
        asn1_x509.Certificate.load(token.certificate),
        keys.PrivateKeyInfo.load(private),
        certs_to_embed=SimpleCertificateStore(),
        fixed_dt=EVENING,
    )
    writer = IncrementalPdfFileWriter(io.BytesIO(target.twice))
    out = PdfTimeStamper(stamper).timestamp_pdf(writer, "sha256", bytes_reserved=12_000)
    return bytes(out.getbuffer())


@attack("evidence", "a time-stamp from tomorrow's tomorrow", ATTACKS)
def time_stamp_from_the_future(target: Target) -> bytes:
    return target.timestamp(target.twice, EVENING + timedelta(days=40))


@attack("evidence", "a byte of a time-stamp's value", ATTACKS)
def time_stamp_flipped(target: Target) -> bytes:
    before, _ = gaps(target.stamped)[-1]
    at = before + 400
    digit = b"%X" % (int(target.stamped[at : at + 1], 16) ^ 2)
    return target.stamped[:at] + digit + target.stamped[at + 1 :]


@attack("evidence", "a revocation list that somebody else signed", ATTACKS)
def forged_list(target: Target) -> bytes:
    stranger = rsa.generate_private_key(65537, 2048)
    return target.add_evidence(target.twice, crls=[target.crl(target.authority.certificate, stranger)])


@attack("evidence", "a certificate in the store that nobody issued", ATTACKS)
def forged_certificate(target: Target) -> bytes:
    good = target.authority.chain[0]
    bad = bytearray(good)
    bad[-10] ^= 1
    return target.add_evidence(target.twice, certs=[asn1_x509.Certificate.load(bytes(bad))])


@attack("evidence", "a store that holds something else than evidence", ATTACKS)
def store_with_more(target: Target) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        evil = writer.add_object(generic.StreamObject(stream_data=b"0 g 0 0 595 842 re f"))
        store = dictionary(Type=pdf_name("/DSS"), Certs=generic.ArrayObject([]), Evil=evil)
        writer.root["/DSS"] = writer.add_object(store)
        writer.update_root()  # type: ignore[no-untyped-call]

    return changed(target.twice, change)


@attack("evidence", "a store whose certificates are page contents", ATTACKS)
def store_of_junk(target: Target) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        junk = writer.add_object(generic.StreamObject(stream_data=b"0 g 0 0 595 842 re f"))
        store = dictionary(Type=pdf_name("/DSS"), Certs=generic.ArrayObject([junk]))
        writer.root["/DSS"] = writer.add_object(store)
        writer.update_root()  # type: ignore[no-untyped-call]

    return changed(target.twice, change)


@attack("evidence", "a byte of the store that a time-stamp covers", ATTACKS)
def store_flipped(target: Target) -> bytes:
    at = len(target.twice) + 200
    return target.lta[:at] + bytes([target.lta[at] ^ 1]) + target.lta[at + 1 :]
