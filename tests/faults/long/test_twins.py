"""
The checker can see: with one protection switched off in a worker's process it finds what that protection prevents.

One office for all. First the product itself goes through the mishaps, and nothing is wrong; then each twin goes
through the mishap that its protection is for, and the checker names what happened (`make faults-twins`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from tests.faults.runner.injectors.rights import try_out
from tests.faults.runner.injectors.starved import given_up
from tests.faults.runner.office import Office
from tests.faults.runner.people import Life
from tests.faults.runner.proxy import Message
from tests.faults.runner.run import checked, make_scans
from tests.faults.runner.site import Site, running
from tests.faults.runner.workers import Keeper, Worker

_numbers = iter(range(1, 1000))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One office, with short leases."""
    folder = tmp_path_factory.mktemp("twins") / "stack"
    with running(folder, 1, settings={"HOSO_LEASE_SECONDS": "6"}) as found:
        yield found


def somebody(office: Office, kind: str = "walk-in") -> Life:
    """Return an applicant who does not act rashly."""
    number = next(_numbers)

    class Calm(Life):
        def _typed(self, words, by):  # type: ignore[no-untyped-def]
            return self.office.site.hoso(*words, by=by)

    scans = make_scans(office.site)
    return Calm(
        office=office, number=number, scans=scans, hostile=(), kind=kind, random=office.site.random(number)
    )


def a_deposit_whose_answer_is_lost(site: Site, twin: str = "") -> None:
    """The worker dies after the portal took the result and before anybody wrote it down."""
    worker = Worker(site=site, name="worker-1", twin=twin)
    with Keeper(site=site, workers=[worker]) as keeper, Office(site) as office:
        worker.dies_at("HttpPortal.deposit:after")
        life = somebody(office)
        assert life.walk_in(account=True)
        assert life.sign()
        assert life.wait("Returned")
        assert worker.starts == 2, "the worker did not die"
        assert keeper.recovered


def a_worker_that_wakes_up_late(site: Site, twin: str = "") -> None:
    """A worker stands still with its leg done, another one takes the dossier, and then it wakes up."""
    first, second = (Worker(site=site, name=f"worker-{n}", twin=twin) for n in (1, 2))
    hold, held = (site.folder / name for name in ("hold-worker-1", "held-hold-worker-1"))
    held.unlink(missing_ok=True)
    hold.write_text("outbox.finish:before")
    with Keeper(site=site, workers=[first]), Office(site) as office:
        life = somebody(office)
        assert life.walk_in()
        assert site.wait_for(held.exists, 60)
        first.signal(signal.SIGSTOP)
        with Keeper(site=site, workers=[second]):
            fence = "select 1 from outbox where dossier = %s and fence > 1 and lease_owner is null"
            assert site.wait_for(lambda: site.ask(fence, life.code), 60)
            hold.unlink()
            first.signal(signal.SIGCONT)
            assert life.sign()
            assert life.wait("Returned")


def a_store_that_keeps_nothing(site: Site, twin: str = "") -> None:
    """The store says yes to one file of a package and forgets it."""

    def fits(request: Message) -> bool:
        return request.first.startswith(b"PUT /hoso-archive/archive/") and b"/v1/content/" in request.first

    before = site.store.failed["lie"]
    with Keeper(site=site, workers=[Worker(site=site, name="worker-1", twin=twin)]), Office(site) as office:
        life = somebody(office)
        assert life.walk_in()
        assert life.sign()
        assert life.wait("Returned")
        site.store.fail_once("lie", fits)
        assert life.act("archive", life.code, done=("Archived",))
        assert life.wait("Archived")
    assert site.store.failed["lie"] == before + 1


def a_token_that_answers_garbage(site: Site, twin: str = "") -> None:
    """The seal's signature has one bit flipped on its way back."""
    garble = site.folder / "garble-worker-1"
    with Keeper(site=site, workers=[Worker(site=site, name="worker-1", twin=twin)]), Office(site) as office:
        life = somebody(office)
        assert life.walk_in()
        assert life.wait("AwaitingSignature")
        garble.write_text("")
        assert life.sign()
        assert life.wait("Returned")
    assert not garble.exists()


def a_document_that_is_poison(site: Site, twin: str = "") -> None:
    """A document takes all the memory that its worker may have, whoever carries it."""
    worker = Worker(site=site, name="worker-1", twin=twin)
    with Keeper(site=site, workers=[worker]), Office(site) as office:
        life, other = somebody(office), somebody(office)
        assert life.book()
        neighbour = threading.Thread(target=other.walk_in)
        neighbour.start()
        parked, _ = given_up(site, life, patience=75)
        neighbour.join()
        assert parked is not bool(twin)
        assert worker.starts > 3
        assert life.sign()
        assert life.wait("Returned")
        assert other.sign()


def somebody_at_the_wrong_desk(site: Site, twin: str = "") -> None:
    """Who answers the portal receives a dossier at the counter."""
    with Keeper(site=site, workers=[Worker(site=site, name="worker-1")]), Office(site) as office:
        life = somebody(office)
        assert life.book()
        words = ("receive", life.code, *life.paid(), *life.originals())
        site.desk_twin = twin
        try:
            try_out(site, "cong", "dossier:received", life.code, words)
        finally:
            site.desk_twin = ""
        assert life.act(*words) is not bool(twin)
        assert life.sign()
        assert life.wait("Returned")


MISHAPS = {
    "idempotency": (a_deposit_whose_answer_is_lost, "PORTAL"),
    "fencing": (a_worker_that_wakes_up_late, "FENCE"),
    "read-back": (a_store_that_keeps_nothing, "PACKAGE"),
    "verification": (a_token_that_answers_garbage, "PDF"),
    "giving-up": (a_document_that_is_poison, "POISON"),
    "rights": (somebody_at_the_wrong_desk, "RIGHTS"),
}


@pytest.fixture(scope="module")
def found_before(site: Site) -> set[str]:
    """What is wrong so far, by its rules; each twin adds its own."""
    return set()


def test_the_product_itself_comes_through(site: Site) -> None:
    for mishap, _ in MISHAPS.values():
        mishap(site)
    assert checked(site)["wrong"] == []


@pytest.mark.parametrize("protection", MISHAPS)
def test_the_twin_without_it_is_found_out(site: Site, found_before: set[str], protection: str) -> None:
    mishap, rule = MISHAPS[protection]
    mishap(site, protection)
    found = checked(site)["wrong"]
    assert rule not in found_before
    found_before |= rules(found)
    assert rule in found_before, found


def rules(wrong: list[str]) -> set[str]:
    """Return the names of the rules that something is wrong by."""
    return {line.partition(":")[0] for line in wrong}
