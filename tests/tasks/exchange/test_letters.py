"""A letter from office to office: sent, taken in, answered, recalled, each with its own database (QĐ 28/2018)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.services import using
from tests.tasks.exchange.offices import Two, two_offices
from tests.world import World


@pytest.fixture(scope="module")
def two(running_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    with using(running_world.parts), two_offices(running_world, tmp_path_factory.mktemp("two")) as both:
        yield both


@pytest.fixture(scope="module")
def pdf(two: Two, form: bytes) -> bytes:
    return two.a.signed(form)


def test_a_letter_goes_from_office_to_office_and_is_acknowledged(
    two: Two, pdf: bytes, tmp_path: Path
) -> None:
    code = two.a.letter(two.b.code, tmp_path, pdf).json["code"]
    assert two.a.show(code)["waits_for"] == "Sending"
    two.post()
    (came,) = [one for one in two.b.inbox() if one["waits_for"] == "AwaitingAcceptance"]
    taken = two.b.show(came["code"])
    assert (taken["legal_effect"], taken["document_id"]) == (
        "replaces-paper",
        two.a.show(code)["document_id"],
    )
    assert [f["sha256"] for f in taken["files"]] == [f["sha256"] for f in two.a.show(code)["files"]]
    assert taken["files"][0]["verdict"]["signatures"][0]["intact"] is True
    two.b.type("accept", came["code"])
    two.b.type("progress", came["code"], "05")
    two.b.type("progress", came["code"], "06")
    two.post()
    sent = two.a.show(code)
    assert [one["code"] for one in sent["statuses"]] == ["01", "03", "05", "06"]
    assert (sent["state"], sent["waits_for"]) == ("sent", "Done")
    assert two.a.events(code) == [
        "exchange:queued",
        "exchange:package-intended",
        "exchange:package-signed",
        "exchange:sent",
        *["exchange:status", "exchange:came-taken"] * 4,
    ]
