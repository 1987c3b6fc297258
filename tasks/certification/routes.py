"""What a supervisor decides about an original's route before anybody has signed it."""

from __future__ import annotations

from infra.database import now
from infra.errors import Forbidden
from infra.history import Json
from infra.services import services
from tasks.dossier.lifecycle import Standing
from tasks.dossier.looking import hold, original_of, procedure_of
from tasks.dossier.moves import Actor, Telling, follow
from tasks.dossier.routes import DroppedStepRow, approvals, route_of
from tasks.people.acting import acting_on

#: Standings in which an original's route may still change.
_OPEN = (Standing.RECEIVED, Standing.CERTIFIED, Standing.LEFT_OUT)


def drop_step(code: str, ordinal: int, field: str, reason: str, *, by: Actor) -> bool:
    """
    Drop an optional step of one original's route; return whether it was dropped now.

    A page that was frozen for the longer route is made anew under its number, with the fields that are
    left, and becomes a new revision. Refused once somebody has signed, and for a step that the procedure
    does not call optional. Dropping it again changes nothing.
    """
    with services().database.transaction() as session:
        dossier = hold(session, code)
        by = acting_on(session, by, "route drop", dossier)
        original = original_of(session, code, ordinal)
        procedure = procedure_of(session, dossier)
        if session.get(DroppedStepRow, (code, ordinal, field)) is not None:
            return False
        route = {step.field: step for step in route_of(session, original, procedure)}
        if field not in route:
            raise Forbidden(
                f"the route of original {ordinal} of {code} has no step “{field}”.",
                rule="SIG-12",
                way_out=f"Its steps are: {', '.join(route)}.",
            )
        if not route[field].optional:
            raise Forbidden(
                f"“{field}” is not an optional step of {procedure.code} v{procedure.version}.",
                rule="SIG-12",
                way_out="Let it be signed, or leave the original out of the list.",
            )
        if original.standing not in _OPEN or (
            original.standing != Standing.LEFT_OUT and approvals(session, original)
        ):
            raise Forbidden(
                f"original {ordinal} of {code} is {original.standing} and was signed before.",
                rule="SIG-12",
                way_out="A route changes before its first signature only; the official leaves the original out first.",
            )
        session.add(
            DroppedStepRow(
                dossier=code, ordinal=ordinal, field=field, dropped_by=by.staff, dropped_at=now(session)
            )
        )
        session.flush()
        facts: dict[str, Json] = {"original": ordinal, "field": field}
        telling = Telling(event="route:step-dropped", by=by, facts=facts, private={"reason": reason})
        follow(session, dossier, telling)
        return True
