"""
The revocation and time-stamping server of the stack: OCSP, CRLs, and two time-stamping authorities.

`python -m infra.stack.pki_server --port 8080 --folder DIR` listens on loopback until it is terminated. The
answers are certomancer's; whom it answers for lies in the folder (`infra.stack.authorities`), and so does
what is revoked and how it misbehaves (`infra.stack.pki_control`). A certificate of a known issuer that is not
revoked is good: nothing is kept of what was issued.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from asn1crypto import algos, core, crl, keys, ocsp, pem, tsp, x509  # type: ignore[import-untyped]
from certomancer import services as certomancer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.clock import SystemClock
from infra.stack.pki_control import modes, revoked, tell_asked

#: How long an OCSP answer and a CRL are good for.
_OCSP_SPAN, _CRL_SPAN = timedelta(minutes=10), timedelta(hours=1)
#: A CRL is signed anew after this many seconds, or at once when something was revoked.
_CRL_KEPT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    """A certificate with its key, as certomancer takes them."""

    certificate: x509.Certificate
    key: keys.PrivateKeyInfo

    @property
    def algorithm(self) -> Any:
        """SHA-256 with this kind of key."""
        return certomancer.choose_signed_digest("sha256", self.certificate.public_key)


def _holder(folder: Path, certificate: str = "certificate.pem", key: str = "key.pem") -> _Holder:
    """Read a holder from its PEM files."""
    return _Holder(
        certificate=x509.Certificate.load(pem.unarmor((folder / certificate).read_bytes())[2]),
        key=keys.PrivateKeyInfo.load(pem.unarmor((folder / key).read_bytes())[2]),
    )


class _Standing(certomancer.RevocationInfoInterface):
    """What the folder says of an issuer's certificates."""

    def __init__(self, served: Path, issuer: x509.Certificate, mode: str) -> None:
        """Speak for an issuer."""
        self._served, self._issuer, self._mode = served, issuer, mode

    def get_issuer_cert(self) -> x509.Certificate:
        """Return the issuer."""
        return self._issuer

    def check_revocation_status(
        self, cid: ocsp.CertId, at_time: datetime
    ) -> tuple[ocsp.CertStatus, list[ocsp.SingleResponseExtension]]:
        """Return good, revoked, or what the mode asks for."""
        entry = revoked(self._served).get(str(cid["serial_number"].native))
        if self._mode == "unknown":
            return ocsp.CertStatus("unknown", core.Null()), []
        if entry is None:
            return ocsp.CertStatus("good", core.Null()), []
        info = {"revocation_time": datetime.fromisoformat(entry["at"]), "revocation_reason": entry["reason"]}
        return ocsp.CertStatus("revoked", ocsp.RevokedInfo(info)), []


class _Refusal(core.Sequence):  # type: ignore[misc]
    """An answer without a time-stamp (RFC 3161 §2.4.2), for which asn1crypto has no room."""

    _fields: ClassVar = [("status", tsp.PKIStatusInfo)]


class Desk:
    """Answers requests for everybody who lies in the folder."""

    def __init__(self, served: Path) -> None:
        """Answer from what a folder holds."""
        self.served = served
        self._clock = SystemClock()
        self._crls: dict[str, tuple[float, object, bytes]] = {}
        self._lock = Lock()

    def ask_ocsp(self, body: bytes, mode: str) -> bytes:
        """Answer an OCSP request (RFC 6960) for whichever issuer it names."""
        request = ocsp.OCSPRequest.load(body)
        if mode == "try-later":
            return self._refusal("try_later")
        wanted = request["tbs_request"]["request_list"][0]["req_cert"]
        for folder in sorted((self.served / "issuers").iterdir()):
            if not (folder / "certificate.pem").exists():
                continue
            issuer = _holder(folder).certificate
            if certomancer.issuer_match(wanted, issuer):
                return self._ocsp(request, folder, issuer, mode)
        return self._refusal("unauthorized")

    def _ocsp(self, request: ocsp.OCSPRequest, folder: Path, issuer: x509.Certificate, mode: str) -> bytes:
        """Answer for one issuer, by its responder."""
        responder = _holder(folder, "responder.pem", "responder_key.pem")
        if mode == "stranger":
            responder = _Holder(certificate=responder.certificate, key=_strange_key())
        if mode == "other-certificate":
            single = request["tbs_request"]["request_list"][0]["req_cert"]
            single["serial_number"] = single["serial_number"].native + 1
        moment = self._clock.now().replace(microsecond=0)
        answer = certomancer.SimpleOCSPResponder(
            responder_cert=responder.certificate,
            responder_key=responder.key,
            signature_algo=responder.algorithm,
            at_time=moment - timedelta(days=30) if mode == "stale" else moment,
            revinfo_interface=_Standing(self.served, issuer, mode),
            validity=_OCSP_SPAN,
        ).build_ocsp_response(request)
        return bytes(answer.dump())

    @staticmethod
    def _refusal(why: str) -> bytes:
        """Return an OCSP answer that says no."""
        return bytes(ocsp.OCSPResponse({"response_status": why}).dump())

    def give_crl(self, label: str, mode: str) -> bytes | None:
        """Return an issuer's CRL (RFC 5280 §5); `None` for an issuer that is not here."""
        folder = self.served / "issuers" / label
        if not (folder / "certificate.pem").exists():
            return None
        if mode == "huge":
            return b"\0" * 40_000_000
        state = (sorted(revoked(self.served)), mode)
        with self._lock:
            kept = self._crls.get(label)
            if kept is not None and kept[1] == state and time.monotonic() - kept[0] < _CRL_KEPT:
                return kept[2]
            made = self._crl(folder, mode)
            self._crls[label] = (time.monotonic(), state, made)
            return made

    def _crl(self, folder: Path, mode: str) -> bytes:
        """Sign a CRL with everything that is revoked; serial numbers are random, so nobody else's is hit."""
        issuer = _holder(folder)
        key = _strange_key() if mode == "stranger" else issuer.key
        algorithm = issuer.algorithm
        if mode == "stranger":
            algorithm = algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})
        builder = certomancer.CRLBuilder(
            issuer_name=issuer.certificate.subject,
            issuer_key=key,
            signature_algo=algorithm,
            authority_key_identifier=issuer.certificate.key_identifier_value,
        )
        moment = self._clock.now().replace(microsecond=0)
        began = moment - timedelta(days=30) if mode == "stale" else moment
        entries = [
            builder.format_revoked_cert(
                int(serial), crl.CRLReason(entry["reason"]), datetime.fromisoformat(entry["at"])
            )
            for serial, entry in revoked(self.served).items()
        ]
        number = int(moment.timestamp())
        return bytes(builder.build_crl(number, began, began + _CRL_SPAN, entries).dump())

    def stamp(self, name: str, body: bytes, mode: str) -> bytes | None:
        """Answer a time-stamp request (RFC 3161); `None` for an authority that is not here."""
        folder = self.served / "tsa" / name
        if not folder.exists():
            return None
        request = tsp.TimeStampReq.load(body)
        if mode == "refuse":
            status = tsp.PKIStatusInfo({"status": "rejection", "status_string": ["not today"]})
            return bytes(_Refusal({"status": status}).dump())
        holder = _holder(folder)
        if mode == "no-usage":
            holder = _holder(self.served / "issuers" / "root", "responder.pem", "responder_key.pem")
        if mode == "stranger":
            holder = _Holder(certificate=holder.certificate, key=_strange_key())
        if mode == "wrong-nonce" and request["nonce"].native is not None:
            request["nonce"] = request["nonce"].native + 1
        if mode == "wrong-imprint":
            request["message_imprint"]["hashed_message"] = bytes(32)
        policy = "1.3.6.1.4.1.99999.2" if mode == "other-policy" else "1.3.6.1.4.1.99999.1"
        stamper = certomancer.TimeStamper(holder.certificate, holder.key, policy=tsp.ObjectIdentifier(policy))
        return bytes(stamper.request_tsa_response(request).dump())


def _strange_key() -> keys.PrivateKeyInfo:
    """Return a key that belongs to nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return keys.PrivateKeyInfo.load(der)


class _Server(ThreadingHTTPServer):
    """The server and what its requests share."""

    daemon_threads = True

    def __init__(self, port: int, desk: Desk) -> None:
        """Listen on loopback."""
        self.desk = desk
        super().__init__(("127.0.0.1", port), _Request)


class _Request(BaseHTTPRequestHandler):
    """One request: `POST /ocsp/…`, `GET /crl/LABEL.crl`, `POST /tsa/NAME`."""

    server: _Server
    protocol_version = "HTTP/1.1"
    #: An answer is a header and a body, and nobody waits for the one to be sent with the other.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Give a CRL."""
        label = self.path.rpartition("/")[2].removesuffix(".crl")
        self._serve("crl", "application/pkix-crl", lambda mode: self.server.desk.give_crl(label, mode))

    def do_POST(self) -> None:
        """Answer an OCSP or a time-stamp request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.path.rpartition("/")[2]
        desk = self.server.desk
        if self.path.startswith("/tsa/"):
            self._serve(
                f"tsa-{name}", "application/timestamp-reply", lambda mode: desk.stamp(name, body, mode)
            )
        else:
            self._serve("ocsp", "application/ocsp-response", lambda mode: desk.ask_ocsp(body, mode))

    def _serve(self, service: str, kind: str, answer: Callable[[str], bytes | None]) -> None:
        """Answer as the service behaves at this moment."""
        tell_asked(self.server.desk.served, service)
        mode = modes(self.server.desk.served).get(service, "")
        if mode == "down":
            self.close_connection = True
            return
        if mode.startswith("slow:"):
            time.sleep(float(mode.removeprefix("slow:")))
        if mode == "503":
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"not now")
            return
        try:
            made = answer(mode)
        except (ValueError, TypeError, KeyError):
            self._send(HTTPStatus.BAD_REQUEST, "text/plain", b"not a request")
            return
        if made is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"nobody here")
        else:
            self._send(HTTPStatus.OK, kind, made)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        """Send one answer, if anybody still waits for it."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing; what was asked is counted."""


def _stop(_number: int, _frame: object) -> None:
    """End the program on a signal."""
    raise SystemExit(0)


def main() -> None:
    """Read the arguments and serve; port 0 chooses a free one, which the start line names."""
    parser = argparse.ArgumentParser(description="OCSP, CRLs and time-stamps for the stack's authorities.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on loopback; 0 chooses a free one")
    parser.add_argument("--folder", type=Path, required=True, help="what it answers for")
    arguments = parser.parse_args()
    server = _Server(arguments.port, Desk(arguments.folder))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    print(f"pki listens on 127.0.0.1:{server.server_address[1]}", flush=True)
    # Nobody asks this loop to end, so it need not look round often.
    server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    main()
