"""May this person sign this now, and in which capacity: every case of tests/vectors/authority.yaml, and what no data can bend."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.clock import HANOI
from tasks.authority.examples import asked as example
from tasks.authority.examples import records
from tasks.authority.loading import holding_of, mandate_of
from tasks.authority.rules import choose, decide
from tasks.authority.values import Asked, Holding, Mandate, NoAuthority, Post, Records
from tasks.dossier.posts import AuthoritySaid, RegimeSaid
from tests.world import VECTORS

TABLE = yaml.safe_load((VECTORS / "authority.yaml").read_text(encoding="utf-8"))


@cache
def on_record(office: str) -> Records:
    """What a vector's office has on record, numbered as it was written."""
    said = AuthoritySaid.model_validate(TABLE["offices"][office]["authority"])
    return Records(
        posts=tuple(Post(**p.model_dump()) for p in said.posts),
        holdings=tuple(replace(holding_of(h), id=n) for n, h in enumerate(said.holdings, 1)),
        mandates=tuple(replace(mandate_of(m), id=n) for n, m in enumerate(said.mandates, 1)),
    )


def question(case: dict[str, Any]) -> Asked:
    """The question that a case asks."""
    office = case.get("office", "commune")
    regime = {
        **TABLE["offices"][office]["regime"],
        "lines": case.get("words", {}),
        "sector": case.get("sector", ""),
    }
    regime["authorisation_ends_with_giver"] = case.get("keeps_giver", True)
    if allowed := case.get("examiner_may_sign"):
        decree = {"number": "77/QĐ-UBND", "date": "2026-01-01", "issuer": "UBND xã"}
        regime["examiner_may_sign"] = {**decree, **allowed}
    return Asked(
        office="H49.90",
        regime=RegimeSaid.model_validate(regime),
        staff=case["staff"],
        name=case.get("person", "Vi Văn Lâm"),
        identity=case.get("identity", "022000000002"),
        procedure=case.get("procedure", "e-copy"),
        kind=case.get("kind", "certification"),
        capacities=tuple(case.get("step", ["own", "KT.", "TUQ."])),
        records=on_record(office),
        moment=datetime.fromisoformat(case.get("at", "2026-03-02 09:00:00")).replace(tzinfo=HANOI),
        applicant=case.get("applicant", "022000000099"),
        kin_of=tuple(case.get("kin_of", ())),
        examiner=case.get("examiner", "clerk"),
    )


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_auth_01_to_08(case: dict[str, Any]) -> None:
    found = decide(question(case))
    if "lines" in case:
        assert found.allowed, found.message
        assert list(found.lines) == case["lines"]
        assert found.rule == case.get("rule", found.rule)
        assert case.get("basis", "") in found.basis
        assert bool(found.basis) == bool(found.mandates)
        assert len(found.warnings) == len(case.get("warns", []))
        assert all(wanted in said for wanted, said in zip(case.get("warns", []), found.warnings, strict=True))
        assert found.or_refuse() is found
    else:
        assert not found.allowed, found.lines
        assert found.rule == case["refused"]
        assert case.get("says", "") in found.message
        assert list(found.officials) == case.get("officials", list(found.officials))
        assert found.way_out
        with pytest.raises(NoAuthority) as refusal:
            found.or_refuse()
        assert refusal.value.decision is found


def test_every_rule_of_the_table_has_a_case() -> None:
    said = " ".join([*(c.get("refused", "") for c in TABLE["cases"]), *(c["name"] for c in TABLE["cases"])])
    wanted = {"AUTH-01", "AUTH-02", "AUTH-06", "AUTH-07", "AUTH-08", "CERT-08", "CERT-10"}
    assert {rule for rule in wanted if rule not in said} == set()
    prefixes = {line.split(" ")[0] for c in TABLE["cases"] for line in c.get("lines", []) if ". " in line}
    assert prefixes == {"KT.", "TM.", "TL.", "TUQ.", "Q."}


NAMES = ("lam", "ha", "binh", "mai", "an")
POSTS = (
    Post(code="head", title="Chủ tịch", rank="head"),
    Post(code="deputy", title="Phó Chủ tịch", rank="deputy", under="head"),
    Post(code="unit", title="Trưởng phòng", rank="unit-head", under="head"),
    Post(code="servant", title="Công chức", rank="civil-servant", under="unit"),
)
DAY = datetime(2026, 1, 1, tzinfo=HANOI)


@st.composite
def spans(draw: st.DrawFn) -> dict[str, Any]:
    """A span of whole days around the day that is asked for, open or not."""
    since = draw(st.integers(-20, 20))
    lasts = draw(st.none() | st.integers(1, 30))
    return {
        "since": DAY + timedelta(days=since),
        "before": None if lasts is None else DAY + timedelta(days=since + lasts),
    }


@st.composite
def any_records(draw: st.DrawFn) -> Records:
    """Posts and mandates as no checked office could have them: anybody gives anything to anybody."""
    holdings = [
        Holding(
            id=n,
            post=draw(st.sampled_from(POSTS)).code,
            staff=draw(st.sampled_from(NAMES)),
            manner=draw(st.sampled_from(("appointed", "acting", "in-charge"))),  # type: ignore[arg-type]
            decision=f"{n}/QĐ",
            **draw(spans()),
        )
        for n in range(draw(st.integers(1, 6)))
    ]
    template = records().mandates[1]
    mandates: list[Mandate] = []
    for n in range(draw(st.integers(0, 6))):
        basis = replace(
            template.basis, kind=draw(st.sampled_from(("authorisation", "assignment", "regulation")))
        )
        mandates.append(
            replace(
                template,
                id=n,
                capacity=draw(st.sampled_from(("TUQ.", "KT.", "TL.", "own"))),
                giver_post=draw(st.sampled_from(POSTS)).code,
                giver=draw(st.sampled_from(NAMES)),
                to=draw(st.sampled_from(NAMES)),
                covers=("e-copy",),
                basis=basis,
                **draw(spans()),
            )
        )
    return Records(posts=POSTS, holdings=tuple(holdings), mandates=tuple(mandates))


@given(known=any_records(), staff=st.sampled_from(NAMES))
def test_auth_01_what_was_delegated_is_never_delegated_again(known: Records, staff: str) -> None:
    """Whatever is on record, who signs TUQ. has it from somebody who holds the head's post in own right."""
    found = decide(example(staff, records=known, at="2026-01-01 00:00:00", capacities=("TUQ.",)))
    if not found.allowed:
        return
    (mandate,) = (m for m in known.mandates if m.id in found.mandates)
    assert (mandate.giver_post, mandate.to, mandate.basis.kind) == ("head", staff, "authorisation")
    assert mandate.giver != staff
    assert [h.staff for h in known.holders("head", mandate.since) if h.staff == mandate.giver]
    assert [h.staff for h in known.holders("head", DAY) if h.staff == mandate.giver]
    assert mandate.before is not None


@given(known=any_records(), staff=st.sampled_from(NAMES))
def test_auth_06_whoever_signs_holds_a_post_and_their_mandates_are_in_force_at_that_moment(
    known: Records, staff: str
) -> None:
    every = ("own", "KT.", "TL.", "TUQ.")
    found = decide(example(staff, records=known, at="2026-01-01 00:00:00", capacities=every))
    if not found.allowed:
        assert found.message
        assert found.way_out
        return
    held = next(h for h in known.holdings if h.id == found.holding)
    assert held.staff == staff
    assert held.holds_at(DAY)
    assert all(m.holds_at(DAY) for m in known.mandates if m.id in found.mandates)
    assert found.mandates or held.manner == "in-charge" or held.post == "head"


@given(seconds=st.integers(1, 10**8), micro=st.integers(0, 999_999))
def test_a_mandate_signs_in_every_second_to_its_last_and_in_none_after(seconds: int, micro: int) -> None:
    known = records()
    last = known.mandates[1].since.replace(microsecond=0) + timedelta(seconds=seconds)
    authorised = replace(known.mandates[1], before=last + timedelta(seconds=1))
    known = replace(known, mandates=(authorised,))
    ask = replace(example("binh", records=known), moment=last + timedelta(microseconds=micro))
    assert decide(ask).allowed
    assert not decide(replace(ask, moment=last + timedelta(seconds=1, microseconds=micro))).allowed


def test_the_digest_of_the_inputs_changes_with_what_decides_and_holds_no_identity() -> None:
    first = example("ha", identity="022000000001", applicant="022000000007")
    assert first.digest() == replace(first, applicant="022000000008", name="Ai khác").digest()
    others = [
        replace(first, applicant="022000000001"),
        replace(first, kin_of=("ha",)),
        replace(first, staff="lam"),
        replace(first, examiner="ha"),
        replace(first, capacities=("KT.",)),
        replace(first, moment=first.moment + timedelta(microseconds=1)),
        replace(first, regime=RegimeSaid(kind="THU_TRUONG")),
        replace(first, records=replace(first.records, mandates=first.records.mandates[:1])),
    ]
    assert len({first.digest(), *(o.digest() for o in others)}) == len(others) + 1
    assert replace(first, moment=first.moment.astimezone(UTC)).digest() == first.digest()


def test_what_is_kept_beside_a_signature_explains_it_without_a_name() -> None:
    kept = decide(example("ha", identity="022000000001", name="Hoàng Thị Thu Hà")).kept()
    assert kept["capacity"] == "KT."
    assert kept["lines"] == ["KT. CHỦ TỊCH", "PHÓ CHỦ TỊCH"]
    assert kept["giver"] == "lam"
    assert kept["mandates"] == [1]
    assert kept["holding_decision"] == "2/QĐ-UBND"
    assert "15/QĐ-UBND of 02/07/2025" in kept["basis"]
    assert "Hoàng" not in str(kept)
    assert "022000000001" not in str(kept)


def test_of_refusals_the_one_about_a_mandate_on_record_is_told() -> None:
    none, ended = decide(example("mai")), decide(example("binh", at="2026-07-01 00:00:00"))
    assert choose([none, ended]) is ended
    assert choose([none, decide(example("lam")), ended]).allowed
