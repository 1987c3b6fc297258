"""Taking back what was issued: by authority, with a reason, and told to everybody who has a copy."""

from __future__ import annotations

from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.delivery.copies import channels_used
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import hold, original_of
from tasks.dossier.moves import Actor, Telling, ask_to_continue, owe_notice, tell
from tasks.issued.authorising import authority_over
from tasks.issued.standing import end_standing, must_be_issued
from tasks.people.acting import acting_on

#: The notices of one withdrawal, one a channel: which occasion each is.
_OCCASIONS = {"email": 0, "portal": 1, "paper": 2}


def withdraw_result(code: str, ordinal: int, reason: str, *, by: Actor) -> bool:
    """
    Withdraw an issued result; return whether it was done now. Doing it again changes nothing.

    Whoever may sign such a result now may withdraw it (AUTH-01, AUTH-06), asked in this transaction. A
    letter is owed by every channel that a copy went by; the number stays with the original (CERT-23), and
    the standing list is made anew. Raises `Forbidden` without a reason, for what was not issued, and for
    what was replaced.
    """
    if not reason.strip():
        raise Forbidden(
            f"the result of original {ordinal} of {code} is not withdrawn without a reason.",
            rule="CERT-15",
            way_out="Name a file with the reason (--why); whoever has a copy reads it.",
        )
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "withdraw-result", dossier)
        original = original_of(session, code, ordinal)
        if original.standing == Standing.WITHDRAWN:
            return False
        must_be_issued(session, dossier, original, "withdrawn")
        decision = authority_over(session, dossier, by, "withdraw-result")
        end_standing(session, dossier, original, Standing.WITHDRAWN, by=by.staff, decision=decision.kept())
        told = channels_used(session, code, ordinal)
        for channel in told:
            facts: dict[str, Json] = {"reason": reason.strip(), "by": by.staff, "channel": channel}
            owe_notice(
                session, code, "result-withdrawn", ordinal=ordinal, occasion=_OCCASIONS[channel], facts=facts
            )
        telling = Telling(
            event="result:withdrawn",
            by=by,
            facts={"original": ordinal, "authority": decision.facts(), "told": list[Json](told)},
            private={"reason": reason.strip()},
        )
        tell(session, dossier, telling)
        ask_to_continue(session, code)
        return True
