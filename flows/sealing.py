"""The agency's signature, with the key of this machine; without Prefect, so that the counter can call it."""

from __future__ import annotations

from infra.errors import Forbidden, Unavailable
from infra.services import services
from tasks.delivery.notices import await_seal
from tasks.delivery.papers import unsealed_paper, waits_for_seal
from tasks.dossier.looking import look
from tasks.dossier.tables import NoticeRow
from tasks.signing import steps
from tasks.signing.keys import seal_of
from tasks.signing.papers import sign_paper


def seal_paper(code: str, notice_id: int) -> bool:
    """
    Give the paper of a message the agency's signature; return whether it has it.

    While the token is away, or a rule says no, the message waits under a name of its own (`awaiting-seal`)
    and nothing else is held up.
    """
    with services().database.transaction() as session:
        office = look(session, code).office
        notice = session.get_one(NoticeRow, notice_id)
        waits = waits_for_seal(session, notice)
    if not waits:
        return True
    page = unsealed_paper(code, notice)
    try:
        sign_paper(page, seal_of(office))
    except (Forbidden, Unavailable) as error:
        await_seal(code, notice_id, str(error))
        return False
    return True


def seal_original(code: str, ordinal: int) -> bool:
    """Give an original the agency's signature if it is its turn; return whether one was added."""
    with services().database.transaction() as session:
        office = look(session, code).office
    return steps.sign_original(code, ordinal, seal_of(office))
