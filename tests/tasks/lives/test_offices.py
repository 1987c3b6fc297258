"""A release is tried on the days and procedures of every office that is here, before it takes over from another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from infra.errors import Forbidden
from tasks.lives import offices, rules
from tasks.lives.gate import RECORDED, read_lives
from tasks.lives.offices import keep_answers, pass_offices
from tests.world import World

LIVES = read_lives(RECORDED)


@pytest.fixture
def session(world: World) -> Iterator[Session]:
    """A session in which a release has just taken over at two offices; nothing of it stays."""
    world.office(), world.office()
    with Session(world.parts.database.engine) as session:
        keep_answers(session, LIVES, "before")
        yield session
        session.rollback()


def a_day_later(due_at: Any) -> Any:
    """A rule that promises everything a day later than it did."""
    return lambda *words, **named: due_at(*words, **named) + timedelta(days=1)


def put(session: Session, line: str, **values: object) -> None:
    session.connection().execute(text(line), values)


def codes(session: Session) -> list[str]:
    return list(session.connection().execute(text("select code from office order by code")).scalars())


def test_a_release_that_answers_alike_passes_and_says_how_many_offices_it_was_tried_on(
    session: Session,
) -> None:
    assert pass_offices(session, LIVES) == len(codes(session)) >= 2


@pytest.mark.parametrize("where", [offices, rules], ids=["procedures", "lives"])
def test_release_01_a_changed_deadline_is_named_with_the_office(
    session: Session, monkeypatch: pytest.MonkeyPatch, where: ModuleType
) -> None:
    monkeypatch.setattr(where, "due_at", a_day_later(where.due_at))  # type: ignore[attr-defined]
    with pytest.raises(Forbidden, match="treats dossiers otherwise") as refusal:
        pass_offices(session, LIVES)
    assert refusal.value.rule == "RELEASE-01"
    assert f"at {codes(session)[0]}: " in refusal.value.message


def test_a_changed_answer_about_a_loaded_procedure_is_named(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = offices.answers
    changed = lambda procedures: {**now(procedures), next(iter(now(procedures))): "otherwise"}  # noqa: E731
    monkeypatch.setattr(offices, "answers", changed)
    with pytest.raises(Forbidden, match="→ otherwise"):
        pass_offices(session, LIVES)


def test_an_office_whose_days_changed_is_asked_anew_and_the_others_are_compared(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *others = codes(session)
    put(
        session,
        "update office set body = jsonb_set(body, '{holidays}', '[\"2026-12-31\"]') where code = :o",
        o=first,
    )
    assert pass_offices(session, LIVES) == 2 + len(others)
    monkeypatch.setattr(offices, "due_at", a_day_later(offices.due_at))
    with pytest.raises(Forbidden) as refusal:
        pass_offices(session, LIVES)
    assert f"at {second}: " in refusal.value.message
    assert f"at {first}: " not in refusal.value.message


def test_a_change_that_was_accepted_with_a_reason_passes_and_is_what_the_next_one_is_held_to(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = LIVES.model_copy(update={"why": (*LIVES.why, "a new decree")})
    with monkeypatch.context() as patch:
        patch.setattr(offices, "due_at", a_day_later(offices.due_at))
        pass_offices(session, accepted)
        keep_answers(session, accepted, "next")
        session.expire_all()
        pass_offices(session, accepted)
    with pytest.raises(Forbidden):
        pass_offices(session, accepted)


def test_an_office_that_cannot_be_read_any_more_stops_the_release_and_one_that_never_could_does_not(
    session: Session,
) -> None:
    first = codes(session)[0]
    put(session, "update office set body = body - 'name' where code = :o", o=first)
    with pytest.raises(Forbidden, match=f"the data of {first} cannot be read any more"):
        pass_offices(session, LIVES)
    put(session, "update release_answers set office = 'gone' where office = :o", o=first)
    pass_offices(session, LIVES)


def test_keeping_the_same_answers_again_changes_nothing(session: Session) -> None:
    rows = text("select office, at, release from release_answers order by office")
    before = session.connection().execute(rows).all()
    session.expire_all()
    keep_answers(session, LIVES, "before")
    assert session.connection().execute(rows).all() == before
    kept = session.connection().execute(text("select answers from release_answers")).scalars()
    assert "Sen" not in json.dumps(list(kept), ensure_ascii=False)
