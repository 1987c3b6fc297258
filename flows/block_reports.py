"""What a block owes others when its work is done: messages to applicants, status codes to the portal."""

from __future__ import annotations

from collections.abc import Sequence

from flows.block import Block, Stopped
from flows.sealing import seal_paper
from tasks.batches.faults import Fault, MailAway, fault_of
from tasks.delivery import notices, sending


def report_all(block: Block) -> None:
    """Send what applicants are owed and tell the portal; a mail server that is away stops the block only."""
    owed = notices.owing(block.sound)
    try:
        _send_all_owed(block, sorted(owed.notices))
    finally:
        _tell_portal(block, sorted(owed.reports))


def _send_all_owed(block: Block, codes: Sequence[str]) -> None:
    """Send what the applicants of some dossiers are owed; what the agency must sign first goes dossier by dossier."""
    due = notices.to_send(codes)
    apart = {code for code, theirs in due.items() if any(unsealed for _, unsealed in theirs)}
    together = [(code, number) for code, theirs in due.items() if code not in apart for number, _ in theirs]
    for code, became in sending.send_notices(together):
        if isinstance(became, Exception):
            with block.judged(code):
                raise became
        else:
            _must_be_there(code, became)
    for code in sorted(apart):
        for number, unsealed in due[code]:
            state = ""
            with block.judged(code):
                state = _send_alone(code, number, unsealed=unsealed)
            _must_be_there(code, state)


def _send_alone(code: str, notice_id: int, *, unsealed: bool) -> str:
    """Send one message, once the agency has signed its paper where it must; return its state, if it was tried."""
    if unsealed and not seal_paper(code, notice_id):
        return ""
    return sending.send_notice(code, notice_id)


def _must_be_there(code: str, state: str) -> None:
    """Stop at a mail server that is away: asking it for each of hundreds would hold all of them up."""
    if state == "owed" and notices.unanswered(code):
        error = MailAway("the mail server does not answer")
        raise Stopped(fault_of(error) or Fault(owner="mail", said="", curable=True)) from error


def _tell_portal(block: Block, codes: Sequence[str]) -> None:
    """Tell the portal where some dossiers stand."""
    _, errors = notices.report_these(codes)
    for code, wrong in errors.items():
        with block.judged(code):
            raise wrong
