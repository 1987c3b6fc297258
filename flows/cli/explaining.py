"""The command that explains a signature: who gave it, in which capacity, and what that rested on."""

from __future__ import annotations

from typing import Any

from flows.cli import app
from flows.cli.printing import AsJson, say, show
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.looking import look
from tasks.people.acting import acting_on
from tasks.people.desk import logged_in
from tasks.signing.explaining import explain


@app.command()
def signature(code: str, ordinal: int, as_json: AsJson = False) -> None:
    """Explain an original's signatures: who signed in which capacity, on what it rested, and what ended since."""
    me = logged_in()
    with services().database.transaction() as session:
        acting_on(session, me, "signature", look(session, code))
        found = explain(session, code, ordinal)
    if as_json:
        show(found, as_json=True, text="")
        return
    if not found:
        say(f"{code}  original {ordinal} has no signature yet")
    for one in found:
        _say(one)


def _say(one: dict[str, Any]) -> None:
    """Print one signature, a fact a line."""
    decision = one["decision"]
    say(f"{one['field']}  {one['signer']}, {local(one['signed_at']):%Y-%m-%d %H:%M:%S}, level {one['level']}")
    said = {
        "capacity": " / ".join(decision.get("lines", ())),
        "post": decision.get("post") and f"{decision['post']} ({decision['holding_decision']})",
        "rests on": decision.get("basis"),
        "limited to": decision.get("limits"),
        "for": decision.get("giver"),
        "keeper of the token": decision.get("keeper"),
        "rule": decision.get("rule"),
        "warned": "; ".join(decision.get("warnings", ())),
        "inputs": decision.get("inputs"),
        "since then": "; ".join(one["since"]),
    }
    for name, value in said.items():
        if value:
            say(f"  {name}: {value}")
