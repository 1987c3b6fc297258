"""Universal signature forgery (USF): what verifiers skip when a part of the signature is missing or odd."""

from __future__ import annotations

import re
from collections.abc import Callable

from asn1crypto import cms

from tests.attacks.target import Attack, Target, attack, gaps

ATTACKS: list[Attack] = []


def _last(pdf: bytes, pattern: bytes, replacement: bytes) -> bytes:
    """Replace the last match by something of the same length."""
    match = list(re.finditer(pattern, pdf, re.DOTALL))[-1]
    size = match.end() - match.start()
    assert len(replacement) <= size, (pattern, size)
    return pdf[: match.start()] + replacement.ljust(size) + pdf[match.end() :]


def _range(name: str, says: str, replacement: bytes) -> None:
    def mutate(target: Target) -> bytes:
        return _last(target.twice, rb"/ByteRange \[[^\]]*\] *", replacement)

    mutate.__name__ = name
    attack("USF", says, ATTACKS)(mutate)


_range("byte_range_missing", "no /ByteRange", b"")
_range("byte_range_null", "/ByteRange is null", b"/ByteRange null")
_range("byte_range_empty", "/ByteRange is empty", b"/ByteRange []")
_range("byte_range_zeros", "/ByteRange covers nothing", b"/ByteRange [0 0 0 0]")
_range("byte_range_two", "/ByteRange has two numbers", b"/ByteRange [0 100]")
_range("byte_range_negative", "/ByteRange goes backwards", b"/ByteRange [0 9 -9 9]")
_range("byte_range_huge", "/ByteRange reaches beyond the file", b"/ByteRange [0 9 99 999999999]")
_range("byte_range_six", "/ByteRange has six numbers", b"/ByteRange [0 9 19 9 29 9]")
_range("byte_range_late", "/ByteRange begins after the first byte", b"/ByteRange [9 1 11 1]")
_range("byte_range_text", "/ByteRange is a text", b"/ByteRange (0 1 2 3)")


def _contents(name: str, says: str, value: Callable[[bytes], bytes]) -> None:
    def mutate(target: Target) -> bytes:
        before, behind = gaps(target.twice)[-1]
        old = target.twice[before:behind]
        new = value(old)
        assert len(new) <= len(old)
        return target.twice[:before] + new.ljust(len(old)) + target.twice[behind:]

    mutate.__name__ = name
    attack("USF", says, ATTACKS)(mutate)


_contents("contents_null", "/Contents is null", lambda _old: b"null")
_contents("contents_empty", "/Contents is empty", lambda _old: b"<>")
_contents("contents_zero", "/Contents is one zero", lambda _old: b"<00>")
_contents("contents_zeros", "/Contents is zeros only", lambda old: b"<" + b"0" * (len(old) - 2) + b">")
_contents("contents_number", "/Contents is a number", lambda _old: b"0")
_contents("contents_text", "/Contents is a text", lambda _old: b"(x)")
_contents("contents_cut", "/Contents is cut in half", lambda old: old[: len(old) // 4 * 2 + 1] + b">")


@attack("USF", "no /Contents at all", ATTACKS)
def contents_missing(target: Target) -> bytes:
    before, behind = gaps(target.twice)[-1]
    at = target.twice.rindex(b"/Contents", 0, before)
    return target.twice[:at] + b" " * (behind - at) + target.twice[behind:]


@attack("USF", "a kind of signature that nobody knows", ATTACKS)
def subfilter_unknown(target: Target) -> bytes:
    return _last(target.twice, rb"/SubFilter /ETSI.CAdES.detached", b"/SubFilter /ETSI.CAdES.detachee")


@attack("USF", "no kind of signature", ATTACKS)
def subfilter_missing(target: Target) -> bytes:
    return _last(target.twice, rb"/SubFilter /ETSI.CAdES.detached", b"")


@attack("USF", "a kind of signature of former times", ATTACKS)
def subfilter_old(target: Target) -> bytes:
    return _last(target.twice, rb"/SubFilter /ETSI.CAdES.detached", b"/SubFilter /adbe.x509.rsa_sha1")


@attack("USF", "a signature that says it is a time-stamp", ATTACKS)
def type_timestamp(target: Target) -> bytes:
    return _last(target.twice, rb"/Type /Sig\n/Filter /Adobe.PPKLite", b"/Type /DocTimeStamp")


def rebuilt(target: Target, change: Callable[[cms.SignedData], None]) -> bytes:
    """Change the last signature's CMS object and put it in the same place, filled up with zeros."""
    before, behind = gaps(target.twice)[-1]
    info = cms.ContentInfo.load(bytes.fromhex(target.twice[before + 1 : behind - 1].decode()))
    signed = info["content"]
    change(signed)
    info["content"] = signed
    new = info.dump(force=True).hex().upper().encode()
    assert len(new) <= behind - before - 2
    return target.twice[: before + 1] + new.ljust(behind - before - 2, b"0") + target.twice[behind - 1 :]


@attack("USF", "no certificates", ATTACKS)
def no_certificates(target: Target) -> bytes:
    def change(signed: cms.SignedData) -> None:
        signed["certificates"] = None

    return rebuilt(target, change)


@attack("USF", "nobody signed", ATTACKS)
def no_signers(target: Target) -> bytes:
    def change(signed: cms.SignedData) -> None:
        signed["signer_infos"] = cms.SignerInfos([])

    return rebuilt(target, change)


@attack("USF", "no signed attributes", ATTACKS)
def no_attributes(target: Target) -> bytes:
    def change(signed: cms.SignedData) -> None:
        signed["signer_infos"][0]["signed_attrs"] = None

    return rebuilt(target, change)


@attack("USF", "no digest among the signed attributes", ATTACKS)
def no_message_digest(target: Target) -> bytes:
    def change(signed: cms.SignedData) -> None:
        kept = [a for a in signed["signer_infos"][0]["signed_attrs"] if a["type"].native != "message_digest"]
        signed["signer_infos"][0]["signed_attrs"] = cms.CMSAttributes(kept)

    return rebuilt(target, change)


@attack("USF", "an empty signature value", ATTACKS)
def no_value(target: Target) -> bytes:
    def change(signed: cms.SignedData) -> None:
        signed["signer_infos"][0]["signature"] = b""

    return rebuilt(target, change)


@attack("USF", "the digest of something else, which the value does not sign", ATTACKS)
def other_digest(target: Target) -> bytes:
    def change(signed: cms.SignedData) -> None:
        for one in signed["signer_infos"][0]["signed_attrs"]:
            if one["type"].native == "message_digest":
                one["values"] = [b"\x00" * 32]

    return rebuilt(target, change)


@attack("USF", "content inside of the signature, signed instead of the file", ATTACKS)
def content_inside(target: Target) -> bytes:
    before, behind = gaps(target.twice)[-1]
    info = cms.ContentInfo.load(bytes.fromhex(target.twice[before + 1 : behind - 1].decode()))
    info["content"]["encap_content_info"]["content"] = b"x"
    info["content"]["certificates"] = cms.CertificateSet([info["content"]["certificates"][0]])
    new = info.dump(force=True).hex().upper().encode()
    size = behind - before - 2
    return target.twice[: before + 1] + new[:size].ljust(size, b"0") + target.twice[behind - 1 :]


@attack("USF", "the field has no value any more", ATTACKS)
def value_removed(target: Target) -> bytes:
    return re.sub(rb"/V (\d+ 0 R)", lambda m: b" " * len(m[0]), target.twice)


@attack("USF", "the form has no fields any more", ATTACKS)
def form_removed(target: Target) -> bytes:
    return target.twice.replace(b"/AcroForm", b"/AcroFoam")


@attack("USF", "a stranger's signature in place of the agency's", ATTACKS)
def strangers_value(target: Target) -> bytes:
    return target.sign(target.once, "seal", token=target.stranger, chain=[])


@attack("USF", "a stranger's signature in place of everybody's", ATTACKS)
def strangers_only(target: Target) -> bytes:
    return target.sign(target.form, "official", token=target.stranger, chain=[])


@attack("USF", "a signature by a forger's own authority in place of the agency's", ATTACKS)
def outsiders_value(target: Target) -> bytes:
    return target.sign_as(target.outsiders, target.once, "seal")


@attack(
    "USF", "signatures by an authority that bears the trusted one's name in place of everybody's", ATTACKS
)
def impostors_only(target: Target) -> bytes:
    return target.sign_as(target.impostors, target.sign_as(target.impostors, target.form, "official"), "seal")


@attack("USF", "the same, with only the signers' certificates inside", ATTACKS)
def impostors_alone(target: Target) -> bytes:
    forged = target.sign(target.form, "official", token=target.impostors["official"], chain=[])
    return target.sign(forged, "seal", token=target.impostors["seal"], chain=target.authority.chain)
