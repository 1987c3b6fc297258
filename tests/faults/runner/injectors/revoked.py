"""F17: the certificate of an official is revoked between two steps: nothing more is signed with it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from infra.stack.pki_control import reinstate, revoke
from tests.faults.runner.injectors import Fault, Scene


def inject(scene: Scene) -> str:
    """Revoke the official's certificate, see that the official signs nothing, and take it back."""
    site, served = scene.site, scene.site.root / "pki" / "served"
    der = bytes(site.ask("select der from certificate where key = 'official-ha' and office = 'H49.21'")[0][0])
    waits = [code for code, stage in scene.office.stages.items() if stage == "AwaitingSignature"]
    if not waits:
        return ""
    with scene.office.signing:
        revoke(served, der, datetime.now(UTC))
        try:
            site.wait_for(lambda: False, 3.0)  # Longer than an answer is used again.
            before = _kept(scene)
            listed = site.hoso(
                "sign", "--list", *(w for c in waits[:4] for w in ("--only", c)), "--json", by="ha"
            )
            code = listed.code
            if code == 0:
                pin = site.root / "secrets" / "pin_officials"
                digest = json.loads(listed.out)["digest"]
                code = site.hoso("sign", "--manifest", digest, "--pin-file", pin, by="ha").code
            if _kept(scene) > before:
                site.journal.tell("finding", what="a revoked certificate signed", codes=waits[:4])
        finally:
            reinstate(served, der)
            site.wait_for(lambda: False, 2.5)
    return f"signing ended with {code}"


def _kept(scene: Scene) -> int:
    """Return how many signatures of the official are kept."""
    return int(
        scene.site.ask("select count(*) from signature where role = 'official' and kept_at is not null")[0][0]
    )


FAULTS = [Fault(row="F17", name="certificate-revoked-midway", inject=inject)]
