"""The authorities of the stack and the server that answers for them: OCSP, CRLs, two time-stamping authorities."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from infra.stack.authorities import CRL_HOST, OCSP_HOST, TIMESTAMPERS, Keeping, issuing_authority
from infra.stack.layout import PROJECT, Place
from infra.stack.parts import LOOPBACK, Part, answers
from infra.stack.process import Command


class Pki(Part):
    """A test authority with everything that signatures of every level need."""

    name = "pki"
    ports = ("pki",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to both time-stamping authorities, and the names in certificates to the server."""
        here = f"{LOOPBACK}:{place.port('pki')}"
        first, second = (f"http://{here}/tsa/{name}" for name in TIMESTAMPERS)
        return {
            "HOSO_TRUST_ANCHORS": str(place.folder("pki", "anchors")),
            "HOSO_TSA_URL": first,
            "HOSO_TSA_SECOND_URL": second,
            "HOSO_TSA_SECONDS": "10",
            "HOSO_REVOCATION_HOSTS": f"{OCSP_HOST},{CRL_HOST}",
            "HOSO_REVOCATION_REWRITE": f"{OCSP_HOST}={here},{CRL_HOST}={here}",
        }

    def prepare(self, place: Place) -> None:
        """Make the authorities, which takes a second the first time."""
        place.folder("pki", "served")
        issuing_authority(Keeping(pki=place.folder("pki"), secrets=place.folder("secrets")))

    def command(self, place: Place) -> Command:
        """Run the server."""
        options = ("--port", str(place.port("pki")), "--folder", str(place.folder("pki", "served")))
        return Command(
            argv=(sys.executable, "-m", "infra.stack.pki_server", *options),
            environment={"PYTHONUNBUFFERED": "1"},
            folder=PROJECT,
        )

    def ready(self, place: Place) -> bool:
        """Tell whether it takes connections."""
        return answers(place.port("pki"))
