"""The stages, the only moves between them, and what the portal hears of each (DOS-06, DOS-07)."""

from __future__ import annotations

import pytest

from tasks.dossier.lifecycle import (
    ENDED,
    GONE,
    MOVES,
    PAUSED,
    PORTAL_CODES,
    PORTAL_MOVES,
    ForbiddenMove,
    Stage,
    Standing,
    move,
    path,
    portal_path,
    stage_of,
)

#: Every move that there is, written down a second time: from, then what it may become.
ALLOWED = {
    "Booked": "Received Declined Cancelled NoShow",
    "Received": "Certified PaymentDue ReturnedToExaminer AwaitingSeal Signed Withdrawn Stopped SupplementAsked",
    "SupplementAsked": "Received PaymentDue Withdrawn Stopped",
    "PaymentDue": "Received Withdrawn Stopped",
    "Certified": "AwaitingSignature",
    "AwaitingSignature": "AwaitingSeal ReturnedToExaminer Signed Withdrawn Stopped SupplementAsked",
    "ReturnedToExaminer": "Received PaymentDue Certified AwaitingSignature AwaitingSeal Signed Withdrawn Stopped SupplementAsked",
    "AwaitingSeal": "Signed Received",
    "Signed": "Returned",
    "Returned": "Archived",
    "Stopped": "Received",
    "Archived": "",
    "Declined": "",
    "Withdrawn": "",
    "Cancelled": "",
    "NoShow": "",
}

#: DOS-06 as the rule says it.
PORTAL = "1→2,3,7; 2→4,5,6,7; 4→5,6,7,8,9; 5→4,7,8; 6→4,7,8; 8→4; 9→10"


def test_the_table_speaks_of_every_stage() -> None:
    assert set(MOVES) == set(Stage) == set(PORTAL_CODES)
    assert {str(stage) for stage in Stage} == set(ALLOWED)


@pytest.mark.parametrize("current", list(Stage), ids=str)
def test_dos_06_a_dossier_becomes_exactly_what_the_table_allows(current: Stage) -> None:
    allowed = set(ALLOWED[current].split())
    for wanted in Stage:
        if wanted == current or wanted in allowed:
            assert move(current, wanted) is wanted
        else:
            with pytest.raises(ForbiddenMove) as refusal:
                move(current, wanted)
            assert refusal.value.rule == "DOS-06"
            assert str(current) in refusal.value.message
            assert str(wanted) in refusal.value.message
            assert all(name in refusal.value.way_out for name in allowed)


def test_dos_06_the_status_codes_follow_each_other_as_the_rule_says() -> None:
    said = {
        int(before): frozenset(int(code) for code in after.split(","))
        for before, _, after in (part.partition("→") for part in PORTAL.split("; "))
    }
    assert {code: after for code, after in PORTAL_MOVES.items() if after} == said
    assert set(PORTAL_MOVES) == set(range(1, 11))


def test_dos_06_the_portal_can_hear_of_every_move_of_every_life() -> None:
    reached = {(Stage.BOOKED, 1)}
    waiting = [(Stage.BOOKED, 1)]
    while waiting:
        stage, last = waiting.pop()
        for following in MOVES[stage]:
            code = last
            for step in portal_path(last, following):
                assert step in PORTAL_MOVES[code], f"{stage} → {following}: {code} → {step}"
                code = step
            assert code in PORTAL_CODES[following]
            if (following, code) not in reached:
                reached.add((following, code))
                waiting.append((following, code))
    assert {stage for stage, _ in reached} == set(Stage)


def test_dos_07_acceptance_is_reported_as_1_then_2_and_refusal_as_3() -> None:
    assert portal_path(1, Stage.RECEIVED) == (2,)
    assert portal_path(1, Stage.DECLINED) == (3,)


def test_a_status_code_is_never_reported_twice_in_a_row() -> None:
    for stage, codes in PORTAL_CODES.items():
        for code in codes:
            assert portal_path(code, stage) == ()


def test_what_has_ended_moves_no_more_and_what_has_not_ended_moves() -> None:
    assert {stage for stage in Stage if not MOVES[stage]} == ENDED


def test_the_clock_stands_still_for_papers_a_fee_and_a_stop() -> None:
    assert {Stage.SUPPLEMENT_ASKED, Stage.PAYMENT_DUE, Stage.STOPPED} == PAUSED
    assert {PORTAL_CODES[stage] for stage in PAUSED} == {(5,), (6,), (8,)}


def test_a_signature_is_never_reached_past_the_certified_copy() -> None:
    assert path(Stage.RECEIVED, Stage.AWAITING_SIGNATURE) == (Stage.CERTIFIED, Stage.AWAITING_SIGNATURE)
    with pytest.raises(ForbiddenMove):
        path(Stage.BOOKED, Stage.AWAITING_SIGNATURE)


@pytest.mark.parametrize(
    ("standings", "stage"),
    [
        ("received", Stage.RECEIVED),
        ("received valid", Stage.RECEIVED),
        ("certified sealed valid", Stage.AWAITING_SIGNATURE),
        ("left-out received", Stage.RETURNED_TO_EXAMINER),
        ("approved valid", Stage.AWAITING_SEAL),
        ("sealed valid", Stage.AWAITING_SEAL),
        ("valid declined dropped", Stage.SIGNED),
        ("declined dropped", None),
        ("", None),
    ],
)
def test_a_dossier_stands_where_its_last_original_stands(standings: str, stage: Stage | None) -> None:
    assert stage_of([Standing(word) for word in standings.split()]) is stage


def test_every_standing_puts_a_dossier_somewhere_or_nowhere() -> None:
    for standing in Standing:
        assert (stage_of([standing]) is None) == (standing in GONE)
