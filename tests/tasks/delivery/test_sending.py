"""Messages of several dossiers that are sent one behind the other: what a crash leaves in doubt is one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from infra.errors import Broken
from infra.mail import MailAnswer, Outcome
from tasks.delivery.papers import paper_of
from tasks.delivery.sending import send_notice, send_notices
from tasks.dossier.tables import NoticeRow
from tests.world import World


class Post:
    """The real mail server, with something done before a message by its number."""

    def __init__(self, world: World, before: dict[int, Any]) -> None:
        self.real, self.before, self.sent = world.parts.mail, before, 0

    def connected(self) -> Any:
        return nullcontext()

    def send(self, message: Any) -> MailAnswer:
        self.sent += 1
        then = self.before.get(self.sent)
        if isinstance(then, MailAnswer):
            return then
        if then is not None:
            raise then
        answer: MailAnswer = self.real.send(message)
        return answer


@contextmanager
def post(world: World, before: dict[int, Any]) -> Iterator[Post]:
    double = Post(world, before)
    with world.having(mail=double):
        yield double


@pytest.fixture
def owed(world: World) -> list[tuple[str, int]]:
    """Three dossiers with a receipt that is owed."""
    office = world.office()
    codes = [world.received(office) for _ in range(3)]
    found = world.ask("select dossier, id from notice where dossier = any(:codes) order by id", codes=codes)
    assert len(found) == 3
    return [(row.dossier, row.id) for row in found]


def states(world: World, owed: list[tuple[str, int]]) -> list[tuple[str, int, int]]:
    found = world.ask(
        "select state, attempts, ambiguous from notice where id = any(:ids) order by id",
        ids=[n for _, n in owed],
    )
    return [tuple(row) for row in found]


def test_all_are_sent_in_order_each_with_its_own_paper(world: World, owed: list[tuple[str, int]]) -> None:
    codes = [code for code, _ in owed]
    assert list(send_notices(owed)) == [(code, "sent") for code in codes]
    assert states(world, owed) == [("sent", 1, 0)] * 3
    for code in codes:
        (mail,) = world.mails(code)
        (attachment,) = mail.iter_attachments()
        with world.parts.database.transaction() as session:
            notice = session.get_one(NoticeRow, dict(owed)[code])
        assert attachment.get_content() == paper_of(code, notice)
        assert world.events(code)[-1] == "notice:sent"
    assert list(send_notices(owed)) == [(code, "sent") for code in codes]
    assert [len(world.mails(code)) for code in codes] == [1, 1, 1]


def test_a_crash_leaves_one_in_doubt_and_those_behind_it_untouched(
    world: World, owed: list[tuple[str, int]]
) -> None:
    with post(world, {2: KeyboardInterrupt()}), pytest.raises(KeyboardInterrupt):
        list(send_notices(owed))
    assert states(world, owed) == [("sent", 1, 0), ("trying", 1, 0), ("owed", 0, 0)]
    assert [state for _, state in send_notices(owed)] == ["sent"] * 3
    assert states(world, owed) == [("sent", 1, 0), ("sent", 2, 1), ("sent", 1, 0)]


def test_behind_one_that_was_put_off_nothing_is_begun_before_the_next_is_asked_for(
    world: World, owed: list[tuple[str, int]]
) -> None:
    away = MailAnswer(outcome=Outcome.DEFERRED, code=0, text="ConnectionRefusedError")
    with post(world, {2: away}) as server:
        going = send_notices(owed)
        assert next(going)[1] == "sent"
        assert next(going) == (owed[1][0], "owed")
        going.close()
    assert server.sent == 2
    assert states(world, owed) == [("sent", 1, 0), ("owed", 1, 0), ("owed", 0, 0)]


def test_an_error_is_told_of_its_own_dossier_and_the_rest_goes_on(
    world: World, owed: list[tuple[str, int]]
) -> None:
    error = Broken("thử")
    with post(world, {2: error}):
        assert [became for _, became in send_notices(owed)] == ["sent", error, "sent"]
    assert states(world, owed) == [("sent", 1, 0), ("trying", 1, 0), ("sent", 1, 0)]


def test_one_alone_is_sent_as_one_of_several(world: World, owed: list[tuple[str, int]]) -> None:
    code, number = owed[0]
    assert send_notice(code, number) == "sent"
    assert list(send_notices(owed[:1])) == [(code, "sent")]
    assert len(world.mails(code)) == 1


def test_a_paper_that_two_make_at_once_is_the_same_for_both(
    world: World, owed: list[tuple[str, int]]
) -> None:
    code, number = owed[0]
    with world.parts.database.transaction() as session:
        notice = session.get_one(NoticeRow, number)
    papers = world.at_once([lambda: paper_of(code, notice)] * 3)
    assert len(set(papers)) == 1
    assert (
        world.ask("select count(*) from document where dossier = :d and kind = 'receipt'", d=code)[0][0] == 1
    )
