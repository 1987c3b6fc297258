"""The nights that care for certificates and evidence, on a live Prefect server: what is renewed, warned of, and failed by name."""

from __future__ import annotations

import pytest

from infra.services import using
from infra.stack.pki_control import behaving
from tests.flows.live import OFFICE, Live, until


@pytest.fixture(scope="module")
def returned(running_office: Live) -> str:
    """A dossier whose document is signed with evidence, and was returned."""
    office = running_office
    with using(office.parts):
        code = office.receive()
        office.waits(code, "AwaitingSignature")
        office.sign(code)
        office.waits(code, "AwaitingArchive")
    return code


def ended(office: Live, deployment: str) -> dict[str, object]:
    """Start a deployment by hand and return its state when it has ended."""
    run = office.press_run(deployment)

    def look() -> dict[str, object] | None:
        state: dict[str, object] = office.api("GET", f"/flow_runs/{run}")["state"]
        return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    return until(f"the end of {deployment}", look)  # type: ignore[return-value]


def test_preservation_fails_by_name_while_nobody_stamps_and_renews_the_next_night(
    office: Live, returned: str
) -> None:
    """PKI-09: one that is left names the dossier, never a person; the next run renews it and beside it nothing."""
    office.put(
        "update preservation set must_extend_before = now() + interval '30 days' where dossier = :c",
        c=returned,
    )
    with behaving(office.root / "pki" / "served", tsa_primary="down", tsa_secondary="down"):
        failed = ended(office, "preservation")
    assert failed["type"] == "FAILED"
    assert failed["message"] == f"0 documents renewed; not renewed: {returned}/1 (NoTimestamp)"
    assert "evidence:renewed" not in office.events(returned)
    done = ended(office, "preservation")
    assert (done["type"], done["message"]) == ("COMPLETED", "1 documents renewed")
    assert office.events(returned).count("evidence:renewed") == 1
    again = ended(office, "preservation")
    assert again["message"] == "0 documents renewed"


def test_certificates_warns_the_office_once_of_what_ends_soon(office: Live) -> None:
    """CER-09: the mail goes to the office's mailbox; the run says how many, and no name."""
    key = (
        "select sha256, not_after from certificate where office = :o and holder = 'lam' and state = 'active'"
    )
    row = office.ask(key, o=OFFICE)[0]
    soon = "update certificate set not_after = now() + interval '20 days' where sha256 = :s"
    office.put(soon, s=row.sha256)
    before = len(office.mails(OFFICE))
    try:
        done = ended(office, "certificates")
        assert done["type"] == "COMPLETED"
        assert str(done["message"]).startswith("0 expired, 1 warnings, ")
        assert len(office.mails(OFFICE)) == before + 1
        again = ended(office, "certificates")
        assert str(again["message"]).startswith("0 expired, 0 warnings, ")
        assert len(office.mails(OFFICE)) == before + 1
    finally:
        office.put("update certificate set not_after = :t where sha256 = :s", t=row.not_after, s=row.sha256)
