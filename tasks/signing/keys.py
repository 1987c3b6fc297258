"""Opening keys: the agency's on the machine that holds it, an official's beside the official."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from infra.services import services
from infra.token import KeyAbsent, PinNotTried, TokenAbsent, WrongPin
from tasks.certificates.choosing import signing_certificates
from tasks.certificates.tables import CertificateRow
from tasks.dossier.looking import office_of
from tasks.signing.authorising import Signer

_seals: dict[str, Signer] = {}
_opening = Lock()


def seal_of(office_code: str) -> Signer:
    """
    Return the agency's key, opened once a process; raises `Forbidden` on a machine without the seal.

    A renewed certificate is opened anew; until its token and PIN are here, the one before it goes on
    sealing to the end of the switch-over. A PIN that was refused is remembered in the database by the time
    its file was written, so no process tries it again by itself before somebody changes the file.
    """
    with _opening:
        with services().database.transaction() as session:
            office_of(session, office_code)
            rows = signing_certificates(session, office_code, "")
        for row in rows[:-1]:
            try:
                return _seal(row)
            except (WrongPin, TokenAbsent, KeyAbsent):
                continue  # The newer one cannot be used on this machine yet.
        return _seal(rows[-1])


def _seal(row: CertificateRow) -> Signer:
    """Return the agency's key of one certificate."""
    if row.sha256 in _seals:
        return _seals[row.sha256]
    parts = services()
    version = parts.seal_pin_version()
    if row.pin_refused == version:
        raise WrongPin(
            f"the token refused the PIN of {row.office}'s seal before; it is not tried again.",
            rule="SIG-13",
            way_out="Put the right PIN into its file (HOSO_SEAL_PIN_FILE); a changed file is tried once.",
        )
    try:
        token = parts.open_token(row.token_uri, pin=parts.seal_pin(), certificate=row.der)
    except WrongPin as error:
        if not isinstance(error, PinNotTried):
            _remember_refusal(row.sha256, version)
        raise
    _seals[row.sha256] = Signer(role="agency", staff="", token=token, image=row.image)
    return _seals[row.sha256]


def _remember_refusal(certificate: str, version: str) -> None:
    """Keep that a token refused what the PIN file holds, for every process that would try it again."""
    with services().database.transaction() as session:
        row = session.get_one(CertificateRow, certificate)
        row.pin_refused = version
        session.add(row)


def types_on_a_pad(office_code: str, staff: str) -> bool:
    """Tell whether an official's token asks for the PIN on a pad of its own, so that nobody else may ask."""
    return services().has_pad(_official_certificate(office_code, staff).token_uri)


@contextmanager
def official_key(
    office_code: str, staff: str, pin: str | None, *, last_try: bool = False
) -> Iterator[Signer]:
    """
    Open an official's own key for the length of a `with` block; the PIN is tried once.

    Without a PIN the token's own pad asks for it. A try after which the token would lock itself is made
    only where `last_try` says that the official wants it.
    """
    row = _official_certificate(office_code, staff)
    token = services().open_token(row.token_uri, pin=pin, certificate=row.der, last_try=last_try)
    try:
        yield Signer(role="official", staff=staff, token=token, image=row.image)
    finally:
        token.close()


def _official_certificate(office_code: str, staff: str) -> CertificateRow:
    """Return the certificate that speaks for an official now; of two, the newer whose token is here."""
    with services().database.transaction() as session:
        office_of(session, office_code).officer(staff, "official")
        rows = signing_certificates(session, office_code, staff)
    for row in rows[:-1]:
        try:
            services().has_pad(row.token_uri)
        except TokenAbsent:
            continue
        return row
    return rows[-1]
