"""Reads the certificates that a provider sends, from a folder or a ZIP file, without trusting either."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509

from infra.errors import Forbidden
from infra.sheets import Unreadable
from tasks.certificates.reading import read_certificate
from tasks.registration.matching import IssuedFile

#: A certificate has some two thousand bytes; chains have a few of them.
_MOST_BYTES, _MOST_FILES, _MOST_PACKED = 64_000, 20_000, 60_000_000
_ENDINGS = (".cer", ".crt", ".pem", ".der")


def read_certificates(source: Path) -> list[IssuedFile]:
    """
    Return the certificates in a folder or ZIP file, the same one once; other files are passed over.

    PEM or DER, one a file, told by their endings. Raises `Unreadable` for a bomb or a damaged package, and
    `Forbidden` with the file's name for a certificate that cannot be read, or when there is none.
    """
    found: dict[str, IssuedFile] = {}
    for name, content in _files(source):
        try:
            facts = read_certificate(content)
        except Forbidden as error:
            raise Forbidden(f"{name}: {error.message}", rule=error.rule, way_out=error.way_out) from error
        if not facts.is_authority:
            found[facts.sha256] = IssuedFile(facts=facts, mailboxes=_mailboxes(facts.der))
    if not found:
        raise Forbidden(
            f"{source.name} holds no certificate.",
            rule="CER-10",
            way_out=f"Files of certificates end in {', '.join(_ENDINGS)}.",
        )
    return list(found.values())


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of what may be certificates."""
    if source.is_dir():
        for count, path in enumerate(sorted(p for p in source.iterdir() if p.suffix.lower() in _ENDINGS)):
            if count >= _MOST_FILES or path.stat().st_size > _MOST_BYTES:
                raise _too_much(f"{path.name} is too large, or one of more than {_MOST_FILES} files.")
            yield path.name, path.read_bytes()
        return
    try:
        content = source.read_bytes()
        if len(content) > _MOST_PACKED:
            raise _too_much(f"{source.name} has {len(content) / 1e6:.0f} MB.")
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            parts = package.infolist()
            if len(parts) > _MOST_FILES:
                raise _too_much(f"{source.name} holds {len(parts)} files.")
            for part in parts:
                if not part.filename.lower().endswith(_ENDINGS):
                    continue
                if part.file_size > _MOST_BYTES:
                    raise _too_much(f"{part.filename} has {part.file_size} bytes.")
                # No more is unpacked than the package says; what has more is an error.
                yield part.filename, package.read(part)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise Unreadable(
            f"{source.name} is neither a folder nor a readable ZIP file.",
            code="broken",
            way_out="Give the folder, or the ZIP file as the provider sent it.",
        ) from error


def _too_much(message: str) -> Unreadable:
    """Refuse what no provider sends."""
    return Unreadable(message, code="bomb", way_out="Give the certificates alone, one a file.")


def _mailboxes(der: bytes) -> tuple[str, ...]:
    """Return the mailboxes that a certificate names, in its alternative names and in its subject."""
    certificate = x509.load_der_x509_certificate(der)
    found = [str(one.value) for one in certificate.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)]
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found += names.get_values_for_type(x509.RFC822Name)
    except x509.ExtensionNotFound:
        pass
    return tuple(sorted({one.lower() for one in found}))
