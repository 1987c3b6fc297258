"""Authority at the second of each signature: asked before the token and again before the result is kept (AUTH-06)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from infra.errors import Forbidden
from infra.services import services
from tasks.authority.acts import end_post, give_mandate, give_post, revoke_mandate
from tasks.authority.records import person_hash, read_records
from tasks.authority.seal import hand_over_seal
from tasks.authority.values import Holding, Mandate, NoAuthority
from tasks.certification.addressing import NobodyMaySign
from tasks.certification.steps import issue_copy, stale_copies
from tasks.dossier.moves import Actor
from tasks.people.persons import leave, today
from tasks.signing.acts import sign_list, unlock_list, write_list
from tasks.signing.steps import sign_original
from tests.world import World, refused, somebody, together

SECRETARY = Actor(role="supervisor", staff="thu", post="Chánh Văn phòng")


def change(office: str, work: Callable[..., Any], *words: Any, **more: Any) -> Any:
    """Put something on record, as a supervisor of the office does."""
    with services().database.transaction() as session:
        return work(session, office, *words, by=SECRETARY, **more)


def mandate_of(world: World, office: str, staff: str = "ha") -> Mandate:
    """Return somebody's mandate."""
    with services().database.transaction() as session:
        return next(m for m in read_records(session, office).records.mandates if m.to == staff)


def holding_of(world: World, office: str, staff: str) -> Holding:
    """Return what somebody was given last."""
    with services().database.transaction() as session:
        return [h for h in read_records(session, office).records.holdings if h.staff == staff][-1]


def kept(world: World, code: str) -> list[Any]:
    """Return the signatures of a dossier that are kept."""
    return world.ask("select * from signature where dossier = :c and kept_at is not null order by id", c=code)


def entries(world: World, code: str, event: str) -> list[dict[str, Any]]:
    """Return what the history says of one kind of event."""
    return [entry for entry in world.told(code) if entry["event"] == event]


def frozen_lines(world: World, code: str) -> dict[str, list[str]]:
    """Return what the newest page says of each field."""
    query = "select facts from document where dossier = :c and kind = 'frozen' order by revision desc limit 1"
    lines: dict[str, list[str]] = world.ask(query, c=code)[0].facts["lines"]
    return lines


class AtTheToken:
    """A key beside which something happens once it has signed."""

    def __init__(self, token: Any, happens: Callable[[], object]) -> None:
        self._token, self._happens = token, happens
        self.certificate = token.certificate
        self.calls = 0

    def sign(self, content: bytes) -> bytes:
        self.calls += 1
        signature: bytes = self._token.sign(content)
        self._happens()
        return signature

    def close(self) -> None:
        self._token.close()


def test_the_decision_and_its_inputs_are_in_the_history_and_beside_the_signature(world: World) -> None:
    office = world.office()
    code = world.signed(office)
    holding, mandate = holding_of(world, office, "ha"), mandate_of(world, office)
    for event in ("signature:intended", "signature:done"):
        said = entries(world, code, event)[0]
        assert said["authority"] == {
            "rule": "AUTH-01", "capacity": "KT.", "holding": holding.id, "mandates": [mandate.id],
            "basis": mandate.basis.said(), "inputs": said["authority"]["inputs"],
        }  # fmt: skip
        assert len(said["authority"]["inputs"]) == 64
        assert said["actor"]["post"] == "Phó Chủ tịch"
    official, seal = kept(world, code)
    assert official.decision["lines"] == ["KT. CHỦ TỊCH", "PHÓ CHỦ TỊCH"]
    assert official.decision["giver"] == "lam"
    assert official.decision["inputs"] == entries(world, code, "signature:done")[0]["authority"]["inputs"]
    assert (seal.decision["rule"], seal.decision["keeper"]) == ("SIG-12", "mai")
    assert "Hoàng" not in str(official.decision) + str(world.told(code))


def test_a_mandate_that_ends_between_two_documents_of_a_list_signs_the_first_only(world: World) -> None:
    office = world.office()
    first, second = world.frozen(office), world.frozen(office)
    digest = write_list(office, "ha").digest
    signer, mandate = world.signer(office), mandate_of(world, office)
    ended: list[str] = []

    def then(outcome: Any) -> None:
        if not ended:
            ended.append(outcome.dossier)
            change(office, revoke_mandate, mandate.id, "30/QĐ-UBND")

    found = {
        outcome.dossier: outcome
        for outcome in sign_list(
            unlock_list(digest, "ha", at=office),
            together(signer),
            told=then,
            at_once=1,
        )
    }
    assert (found[first].result, found[second].result) == ("signed", "refused")
    assert "30/QĐ-UBND" in found[second].why
    (said,) = entries(world, second, "signature:refused")
    assert said["rule"] == "AUTH-01"
    assert said["officials"] == [person_hash(office, "lam"), person_hash(office, "ha")]
    assert said["mandates"] == [mandate.id]
    assert entries(world, second, "signature:intended") == []


def test_a_signature_whose_authority_ended_before_it_was_kept_is_not_kept_and_explained(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    signer, mandate = world.signer(office), mandate_of(world, office)
    token = AtTheToken(signer.token, lambda: change(office, revoke_mandate, mandate.id, "30/QĐ-UBND"))
    with pytest.raises(NoAuthority) as refusal:
        sign_original(code, 1, replace(signer, token=token))  # type: ignore[arg-type]
    assert refusal.value.rule == "AUTH-01"
    assert kept(world, code) == []
    (said,) = entries(world, code, "signature:unused")
    assert said["cause"] == "AUTH-01"
    assert said["officials"] == [person_hash(office, "lam"), person_hash(office, "ha")]
    assert len(said["inputs"]) == 64
    assert said["inputs"] != entries(world, code, "signature:intended")[0]["authority"]["inputs"]
    # A mandate that is given later does not make it good: it is signed once more.
    again = replace(mandate, id=0, before=None, ended_by="", since=services().clock.now())
    change(office, give_mandate, again)
    assert sign_original(code, 1, signer)
    assert world.ask("select count(*) from signature where dossier = :c", c=code)[0][0] == 1
    tries = [e["event"] for e in world.told(code) if e["event"].startswith("signature:")]
    assert tries == ["signature:intended", "signature:unused", "signature:intended", "signature:done"]


def test_the_head_is_replaced_by_a_promoted_official_and_old_signatures_stay_explained(world: World) -> None:
    office = world.office()
    old, new = world.signed(office), world.frozen(office)
    assert frozen_lines(world, new) == {"official_1": ["KT. CHỦ TỊCH", "PHÓ CHỦ TỊCH"]}
    deputy, head = holding_of(world, office, "ha"), holding_of(world, office, "lam")
    change(office, end_post, head.id, "287/QĐ-UBND")
    change(office, end_post, deputy.id, "288/QĐ-UBND")
    chair = Holding(id=0, post="chairman", staff="ha", since=services().clock.now(), decision="289/QĐ-UBND")
    change(office, give_post, chair)
    # The page still says KT.: it is not signed as it is, but issued anew under its number.
    refusal = refused(NoAuthority, lambda: sign_original(new, 1, world.signer(office)))
    assert "the page says “KT. CHỦ TỊCH / PHÓ CHỦ TỊCH”" in str(refusal)
    assert entries(world, new, "signature:refused")[0]["rule"] == "AUTH-01"
    number = world.ask("select number from register_entry where dossier = :c", c=new)
    world.carry(new)
    assert frozen_lines(world, new) == {"official_1": ["CHỦ TỊCH"]}
    assert world.ask("select number from register_entry where dossier = :c", c=new) == number
    assert sign_original(new, 1, world.signer(office))
    assert kept(world, new)[0].decision["lines"] == ["CHỦ TỊCH"]
    # Who was head does not sign any more.
    third = world.frozen(office)
    gone = refused(NoAuthority, lambda: issue_copy(third, 1, official="lam"))
    assert "lam was Chủ tịch until" in str(gone)
    assert "ha holds it now" in str(gone)
    with world.as_(office, "thu"):
        said = world.type("signature", old, 1)
    assert said.code == 0, said.err
    assert "capacity: KT. CHỦ TỊCH / PHÓ CHỦ TỊCH" in said.out
    assert "rests on: 15/QĐ-UBND of 02/07/2025" in said.out
    assert "post: Phó Chủ tịch (103/QĐ-UBND)" in said.out
    assert "since then: ha left the post at" in said.out
    assert "288/QĐ-UBND" in said.out
    assert "KT. CHỦ TỊCH / PHÓ CHỦ TỊCH (15/QĐ-UBND" in world.hoso("show", old, "--json", by="thu").out


def test_pages_of_who_may_not_sign_any_more_go_to_who_may(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    assert world.ask("select asked from outbox where dossier = :c", c=code)
    before = world.ask("select asked from outbox where dossier = :c", c=code)[0][0]
    change(office, revoke_mandate, mandate_of(world, office).id, "30/QĐ-UBND")
    assert world.ask("select asked from outbox where dossier = :c", c=code)[0][0] > before
    assert stale_copies(office, "lam") == [(code, 1)]
    with world.as_(office, "lam"):
        written = world.type("sign", "--list", "--office", office, "--json")
    assert written.code == 0, written.err
    assert [d["dossier"] for d in written.json["documents"]] == [code]
    assert frozen_lines(world, code) == {"official_1": ["CHỦ TỊCH"]}
    assert sign_original(code, 1, world.signer(office, "lam"))


def test_cert_08_when_nobody_may_sign_the_dossier_says_so_with_everybody_s_reason(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    change(office, revoke_mandate, mandate_of(world, office).id, "30/QĐ-UBND")
    change(office, end_post, holding_of(world, office, "lam").id, "31/QĐ-UBND")
    refusal = refused(NobodyMaySign, lambda: issue_copy(code, 1))
    assert refusal.rule == "CERT-08"  # type: ignore[attr-defined]
    assert "nobody holds the post Chủ tịch since lam left it" in str(refusal)
    assert "lam was Chủ tịch until" in str(refusal)
    with pytest.raises(Forbidden):
        world.carry(code)


@pytest.mark.parametrize("who", ["ha", "lam"])
def test_cert_10_the_applicant_is_never_the_certifier(world: World, who: str) -> None:
    office = world.office()
    identity = {"ha": "022000000001", "lam": "022000000002"}[who]
    code = world.frozen(office, applicant=somebody(identity=identity))
    assert refused(NoAuthority, lambda: issue_copy(code, 1, official=who)).rule == "CERT-10"  # type: ignore[attr-defined]
    refused(Forbidden, lambda: sign_original(code, 1, world.signer(office, who)))
    (said,) = entries(world, code, "signature:refused")
    assert (said["rule"], said["officials"]) == ("CERT-10", [person_hash(office, who)])


def test_cert_10_a_declared_relative_is_not_the_certifier(world: World) -> None:
    office = world.office()
    code = world.frozen(office, applicant=somebody(kin_of=("ha",)))
    assert frozen_lines(world, code) == {"official_1": ["CHỦ TỊCH"]}
    refused(Forbidden, lambda: sign_original(code, 1, world.signer(office)))
    assert entries(world, code, "signature:refused")[0]["rule"] == "CERT-10"


def test_auth_06_the_examiner_certifies_only_by_a_decision_on_record(world: World) -> None:
    office = world.office()
    code = world.frozen(office, by="ha")
    assert frozen_lines(world, code) == {"official_1": ["CHỦ TỊCH"]}
    refusal = refused(NoAuthority, lambda: issue_copy(code, 1, official="ha"))
    assert "examiner and certifier are the same person" in str(refusal)
    decree = {
        "number": "77/QĐ-UBND",
        "date": date(2026, 1, 1),
        "issuer": "UBND xã",
        "since": date(2026, 1, 1),
    }
    regime = {"kind": "TAP_THE", "collective": "Ủy ban nhân dân", "examiner_may_sign": decree}
    decided = world.office(regime=regime)
    allowed = world.frozen(decided, by="ha")
    assert sign_original(allowed, 1, world.signer(decided))
    (row,) = kept(world, allowed)
    assert row.decision["warnings"] == ["AUTH-06: ha compared and signs, by decision 77/QĐ-UBND of UBND xã"]


def test_auth_06_who_has_left_the_office_does_not_sign(world: World) -> None:
    office = world.office()
    code = world.frozen(office)
    signer = world.signer(office)
    with services().database.transaction() as session:
        leave(session, office, "ha", today(session), by=SECRETARY)
    refusal = refused(NoAuthority, lambda: sign_original(code, 1, signer))
    assert "ha is no official" in str(refusal)
    assert entries(world, code, "signature:refused")[0]["rule"] == "AUTH-06"
    world.carry(code)
    assert frozen_lines(world, code) == {"official_1": ["CHỦ TỊCH"]}


class TestTheSeal:
    """The agency signs after the officials, and its token has a keeper (SIG-12, SIG-13)."""

    def test_nothing_is_sealed_while_nobody_is_on_record_as_keeper(self, world: World) -> None:
        office = world.office()
        code = world.frozen(office)
        assert sign_original(code, 1, world.signer(office))
        with world.owner() as connection:
            connection.execute("delete from seal_keeper where office = %s", (office,))
            connection.commit()
        refusal = refused(NoAuthority, lambda: sign_original(code, 1, world.signer(office, "seal")))
        assert refusal.rule == "SIG-13"  # type: ignore[attr-defined]
        assert entries(world, code, "signature:refused")[-1]["rule"] == "SIG-13"
        with services().database.transaction() as session:
            hand_over_seal(session, office, "mai", approved_by="lam", minutes="02/BB-UBND", by=SECRETARY)
        assert sign_original(code, 1, world.signer(office, "seal"))

    def test_the_token_is_handed_over_by_its_keeper_with_approval_and_minutes(self, world: World) -> None:
        office = world.office()
        words = ("seal", "hand-over", "--office", office, "--minutes", "03/BB-UBND")
        wrong = world.type(*words, "--from", "ha", "--to", "lam", "--approved-by", "lam", by="thu")
        assert wrong.code == 1
        assert "mai keeps the seal" in wrong.err
        assert "[SIG-13]" in wrong.err
        self_approved = world.type(*words, "--from", "mai", "--to", "thu", "--approved-by", "mai", by="thu")
        assert "cannot approve" in self_approved.err
        done = world.type(*words, "--from", "mai", "--to", "thu", "--approved-by", "lam", by="thu")
        assert done.code == 0, done.err
        code = world.signed(office)
        assert kept(world, code)[1].decision["keeper"] == "thu"
        said = next(e for e in reversed(world.told(office)) if e["event"] == "seal:handed-over")
        assert said["from"] == person_hash(office, "mai")
        assert said["to"] == person_hash(office, "thu")
        assert said["approved_by"] == person_hash(office, "lam")
        assert said["minutes"] == "03/BB-UBND"
