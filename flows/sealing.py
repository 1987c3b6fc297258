"""The agency's signature, with the key of this machine; without Prefect, so that the counter can call it."""

from __future__ import annotations

from infra.services import services
from tasks.dossier.moves import look
from tasks.signing import steps
from tasks.signing.keys import seal_of


def seal_original(code: str, ordinal: int) -> bool:
    """Give an original the agency's signature if it is its turn; return whether one was added."""
    with services().database.transaction() as session:
        office = look(session, code).office
    return steps.sign_original(code, ordinal, seal_of(office))
