"""A supervisor's morning in the browser: a dossier found by its code, its run and its timeline, the board, what waits."""

from __future__ import annotations

import pytest

from tests.browser.chromium import Page
from tests.browser.morning import Morning
from tests.flows.live import CANARIES, IDENTITY, OFFICE, Live
from tests.world import IMAGES

#: Every text that was on a page which a test looked at.
seen: list[str] = []


@pytest.fixture
def ui(office: Live, morning: Morning) -> str:
    """The address of the Prefect UI, once the morning has come."""
    return office.settings.prefect_ui_url


def read(page: Page, address: str, *wanted: str) -> str:
    """Open a page and keep what it says, for the test of what none may say."""
    seen.append(page.open(address, *wanted))
    return seen[-1]


def kept(text: str) -> str:
    """Keep what a page says."""
    seen.append(text)
    return text


def test_the_search_box_finds_a_dossier_by_the_end_of_its_code_and_leads_to_its_run_and_timeline(
    page: Page, ui: str, office: Live, morning: Morning
) -> None:
    read(page, f"{ui}/runs", morning.archived)
    page.type("Search by flow run name", morning.archived[-5:])
    page.reads_no_more(morning.near)
    kept(page.reads(morning.archived, "Archived", f"office:{OFFICE}", "procedure:e-copy"))
    page.follow(morning.archived)
    page.click("Task Runs")  # what is drawn above is no text
    kept(page.reads("seal original 1", "deliver by email", "archive"))
    page.click("Artifacts")
    key = "dossier-" + morning.archived.lower().replace(".", "-")
    kept(page.reads(key))
    timeline = read(page, office.page_of(key), "As of", "dossier:opened", "dossier:archived")
    assert "Archived" in timeline
    for event in office.events(morning.archived):
        assert event in timeline
    assert "mai, Công chức Tư pháp – Hộ tịch" in timeline, "the staff code and the post of who received it"
    [sealed] = office.ask("select sha256 from document where dossier = :c and ordinal = 1 and kind = 'sealed'",
                          c=morning.archived)  # fmt: skip
    assert sealed[0][:12] in timeline


def test_the_timeline_of_what_waits_says_for_whom(page: Page, office: Live, morning: Morning) -> None:
    key = "dossier-" + morning.near.lower().replace(".", "-")
    assert "Whose turn it is: ha." in read(page, office.page_of(key), "AwaitingSignature")


def test_the_link_by_waiting_state_shows_exactly_who_waits_so_also_after_weeks(
    page: Page, ui: str, office: Live, morning: Morning
) -> None:
    [old] = office.runs(name={"any_": [morning.late[0]]})
    with_age = (
        "update flow_run set expected_start_time = expected_start_time - interval '40 days' where id = %s"
    )
    office.prefect(with_age, old["id"])
    read(page, office.page_of("board"), "As of", "AwaitingSignature")
    page.follow("AwaitingSignature")
    wanted = [morning.near, *morning.late, *morning.batched]
    text = kept(page.reads(*wanted))
    assert f"{len(wanted)} runs" in text
    assert morning.booked[0] not in text


def test_the_board_says_as_of_when_and_names_what_is_late_first(
    page: Page, office: Live, morning: Morning
) -> None:
    text = read(page, office.page_of("board"), "As of")
    open_now = office.ask("select count(*) from dossier where ended_at is null")[0][0]
    assert f"{open_now} open, 2 late, 1 nearly late" in text
    assert text.index(morning.late[0]) < text.index(morning.late[1]) < text.index(morning.near)
    assert morning.asked not in text, "only what is late or nearly so is named"
    for words in ("SupplementAsked", "PaymentDue", "ReturnedToExaminer", "Stopped", "Booked", "up to a week"):
        assert words in text
    page.follow(morning.late[0])
    kept(page.reads(f"office:{OFFICE}", "AwaitingSignature"))


def test_the_day_sheet_and_the_batch_have_their_pages(
    page: Page, ui: str, office: Live, morning: Morning
) -> None:
    today = "select count(*) from appointment where state in ('held', 'kept') and (starts_at at time zone 'Asia/Ho_Chi_Minh')::date"
    there = office.ask(f"{today} = (now() at time zone 'Asia/Ho_Chi_Minh')::date")[0][0]
    text = read(page, office.page_of("day-sheet"), f"{there} appointments")
    assert ("of 20" in text) == (there > 0), "how many seats there are in the hour"
    shown = read(page, f"{ui}/runs/flow-run/{morning.batch}", "done")
    assert f"{len(morning.batched)} done" in shown
    read(page, office.page_of("batch-1"), "result", "reason", "done", str(len(morning.batched)))


def test_every_deployment_says_what_it_does_and_what_to_do_when_it_fails(
    page: Page, ui: str, office: Live
) -> None:
    for known in office.api("POST", "/deployments/filter", limit=200):
        assert "*When it fails:*" in known["description"], known["name"]
    overdue = office.api("GET", "/deployments/name/overdue/overdue")["id"]
    read(page, f"{ui}/deployments/deployment/{overdue}?tab=Description", "When it fails:", "mail server")


def test_nothing_personal_stands_on_any_page(page: Page, ui: str, morning: Morning) -> None:
    for path in ("/dashboard", "/runs", "/flows", "/deployments", "/artifacts", "/events", "/automations"):
        read(page, f"{ui}{path}", "Deployments")
    names = [
        line.partition("name: ")[2]
        for line in (IMAGES / "office.yaml").read_text().splitlines()
        if line.startswith("    name: ")
    ]
    assert len(names) > 4, "the people of the office"
    secrets = [*CANARIES.values(), IDENTITY, *CANARIES["name"].split(), "Thiếu trang 2", "Dấu mờ", *names]
    assert len(seen) > 10
    for text in seen:
        assert not [secret for secret in secrets if secret in text]
