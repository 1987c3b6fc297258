"""Lines of JSON say what a program needs to find them, and hold nothing that people told us."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra import logs
from infra.errors import Forbidden
from infra.history.recording import record
from infra.logs import JsonLines
from tests.world import World, somebody

CANARIES = ("Quách Thị Hoàng Yến", "0987600613", "022776130001", "Ngõ Chim Hoàng Yến")


@contextmanager
def lines(name: str = "hoso") -> Iterator[list[dict[str, Any]]]:
    """Collect what is logged within a `with` block, as it would be written."""
    stream, found = io.StringIO(), []
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(name)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        found += [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_names_dossier_and_step_while_somebody_is_at_them() -> None:
    with lines() as found:
        with logs.about(dossier="H49.21-261122-0001"):
            with logs.about(step="issue_copy"):
                logging.getLogger("hoso.work").warning("it takes %d seconds", 3)
            logging.getLogger("hoso.work").info("over")
        logging.getLogger("hoso.work").info("elsewhere")
    first, second, third = found
    assert first["said"] == "it takes 3 seconds"
    assert (first["level"], first["logger"]) == ("warning", "hoso.work")
    assert (first["dossier"], first["step"]) == ("H49.21-261122-0001", "issue_copy")
    assert "step" not in second
    assert "dossier" not in third


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_process_writes_what_the_setting_says(form: str) -> None:
    program = (
        "import logging; from infra import logs; from infra.settings import Settings;"
        f"logs.begin(Settings(log_format={form!r})); logging.getLogger('hoso.work').info('it began');"
        "logging.getLogger('httpx').info('nobody needs this')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert "it began" in line
    assert (form == "json") == line.startswith("{")
    if form == "json":
        assert json.loads(line)["logger"] == "hoso.work"


def test_errors_of_others_are_told_by_kind_and_place_only_and_ours_in_words() -> None:
    with lines() as found:
        for error in (
            ValueError(f"bad value {CANARIES[0]}"),
            Forbidden("it may not be.", rule="X-01", way_out="Ask."),
        ):
            try:
                raise error
            except (ValueError, Forbidden):
                logging.getLogger("hoso.work").exception("the step")
    strange, ours = found
    assert strange["error"] == "ValueError"
    assert strange["where"][-1].startswith("tests/infra/test_logs.py:")
    assert ours["error_said"] == "it may not be. [X-01] Ask."
    assert CANARIES[0] not in json.dumps(strange, ensure_ascii=False)


def test_of_another_library_only_what_stands_in_its_code_is_told() -> None:
    with lines("sqlalchemy") as found:
        logging.getLogger("sqlalchemy.pool").warning("connection %s was lost", CANARIES[1])
        logging.getLogger("sqlalchemy.pool").warning(f"parameters: {CANARIES[2]}")  # noqa: G004
    assert [line["said"] for line in found] == [
        "connection %s was lost", "(another library's words are not shown)",
    ]  # fmt: skip
    assert not [c for c in CANARIES if c in json.dumps(found, ensure_ascii=False)]


def test_a_whole_life_leaves_its_events_with_their_ids_and_no_canary(world: World) -> None:
    office = world.office()
    person = somebody(name=CANARIES[0], telephone=CANARIES[1], identity=CANARIES[2], address=CANARIES[3])
    with lines() as found, logs.about(step="received"):
        code = world.received(office, applicant=person)
    with lines() as more:
        world.carry(code)
        assert world.type("withdraw", code, "--why", "/nonexistent").code == 1
    told = {entry["seq"]: entry["event"] for entry in world.told(code)}
    named = {
        line["event_id"]: line["said"]
        for line in [*found, *more]
        if line.get("dossier") == code and "event_id" in line
    }
    assert named == told
    everything = json.dumps([*found, *more], ensure_ascii=False)
    assert not [canary for canary in CANARIES if canary in everything]


def test_an_entry_that_was_undone_is_not_told(world: World) -> None:
    with lines() as found:
        with pytest.raises(ZeroDivisionError), world.parts.database.transaction() as session:
            record(session, "a", {"event": "never:kept"})
            raise ZeroDivisionError
        with world.parts.database.together():
            with pytest.raises(ZeroDivisionError), world.parts.database.transaction() as session:
                record(session, "a", {"event": "part:undone"})
                raise ZeroDivisionError
            with world.parts.database.transaction() as session:
                record(session, "a", {"event": "part:kept"})
    assert [line["said"] for line in found if "event_id" in line] == ["part:kept"]
