"""
The chain of statuses that a document has with each agency that got it (STA-02), and what each of them means.

A chain only grows. What the receiver says and the sender's wish to have the document back (13) run in one chain;
after a refusal (16) the receiver's work goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ARRIVED, RETURNED, REGISTERED, ASSIGNED, PROCESSING, DONE = "01", "02", "03", "04", "05", "06"
RECALL_ASKED, RECALL_AGREED, RECALL_REFUSED = "13", "15", "16"

#: The statuses, as the law's software names them.
NAMES: Mapping[str, str] = {
    ARRIVED: "Đã đến",
    RETURNED: "Từ chối tiếp nhận, trả lại",
    REGISTERED: "Đã tiếp nhận",
    ASSIGNED: "Phân công xử lý",
    PROCESSING: "Đang xử lý",
    DONE: "Hoàn thành",
    RECALL_ASKED: "Yêu cầu lấy lại",
    RECALL_AGREED: "Đồng ý cập nhật, lấy lại",
    RECALL_REFUSED: "Từ chối cập nhật, lấy lại",
}

#: What may follow what in the receiver's work; 04 may be left out.
MOVES: Mapping[str, frozenset[str]] = {
    "": frozenset({ARRIVED}),
    ARRIVED: frozenset({RETURNED, REGISTERED}),
    RETURNED: frozenset(),
    REGISTERED: frozenset({ASSIGNED, PROCESSING}),
    ASSIGNED: frozenset({PROCESSING}),
    PROCESSING: frozenset({DONE}),
    DONE: frozenset(),
    RECALL_AGREED: frozenset(),
}
_ENDED = frozenset({RETURNED, RECALL_AGREED})


def allowed(chain: Sequence[str]) -> frozenset[str]:
    """
    Return the statuses that may come next; none: the chain has ended (STA-02).

    >>> sorted(allowed([])), sorted(allowed(["01"])), sorted(allowed(["01", "03", "13"]))
    (['01', '13'], ['02', '03', '13'], ['04', '05', '15', '16'])
    >>> sorted(allowed(["01", "03", "13", "16"])), allowed(["01", "02"])
    (['04', '05', '13'], frozenset())
    """
    at = next((code for code in reversed(chain) if code not in (RECALL_ASKED, RECALL_REFUSED)), "")
    if at in _ENDED or (at == DONE):
        return frozenset()
    if is_wanted_back(chain):
        # What the receiver did before it heard of the wish may cross it on the way.
        return MOVES[at] | {RECALL_AGREED, RECALL_REFUSED}
    return MOVES[at] | {RECALL_ASKED}


def is_wanted_back(chain: Sequence[str]) -> bool:
    """
    Whether the sender wants the document back and has no answer yet.

    >>> [is_wanted_back(c) for c in (["01", "13", "03"], ["01", "13", "16"], ["01", "13", "16", "13"], ["01"])]
    [True, False, True, False]
    """
    answers = (RECALL_ASKED, RECALL_AGREED, RECALL_REFUSED)
    return next((code for code in reversed(chain) if code in answers), "") == RECALL_ASKED


def may_still_come(chain: Sequence[str], code: str) -> bool:
    """
    Whether a status that is not allowed now may be one that overtook another on its way.

    >>> may_still_come([], "03"), may_still_come(["01"], "15"), may_still_come(["01", "02"], "03")
    (True, True, False)
    """
    return bool(allowed(chain)) and code not in allowed(chain) and (code not in chain or code in ("15", "16"))


def is_said(chain: Sequence[str], code: str) -> bool:
    """
    Whether a status is one that was said before and only came again.

    >>> is_said(["01", "03"], "01"), is_said(["01"], "03"), is_said(["01", "13", "16", "13"], "16")
    (True, False, False)
    """
    return code in chain and code not in allowed(chain)
