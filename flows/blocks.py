"""
A block: some dozens of dossiers carried through one part of their lives together.

The functions that do it are those of a single life. What the database does for many is done in one
transaction, and what outlasts a dossier is shared: the session with the token, the answers on revocation, the
probe of the archive. Each dossier keeps its own lease, so nothing here can happen beside its own run.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from flows.block import Block, Stopped
from flows.block_ends import settle
from flows.block_reports import report_all
from flows.errands import owner
from infra.errors import HosoError, Unavailable
from infra.object_store import Stored
from infra.services import services
from tasks.archival import package as packing
from tasks.archival import steps as archival
from tasks.archival.checkpoints import cover
from tasks.archival.covering import uncovered
from tasks.batches.faults import Fault, MailAway, cause_of, fault_of
from tasks.batches.records import Outcome, stages_of
from tasks.batches.rules import Kind, Result
from tasks.certification import results
from tasks.certification import steps as certification
from tasks.delivery import legs
from tasks.delivery import steps as delivery
from tasks.dossier import outbox
from tasks.dossier.lifecycle import Standing
from tasks.dossier.outbox import Lease
from tasks.dossier.waiting import originals_at
from tasks.evidence.steps import is_wanting, lift_for_archive, lift_for_release
from tasks.signing import tries
from tasks.signing.keys import seal_of
from tasks.signing.steps import validate
from tasks.signing.together import Wanted, sign_together

log = logging.getLogger("hoso.blocks")

#: Originals that are sealed together: their intents are committed at once, and what is kept at once.
_SEALED_TOGETHER = 16
#: Copies that are set together: what they are made of is read at once, and what is frozen said at once.
_SET_TOGETHER = 16
#: Packages that are made at once: what is kept of each until they lie in the archive is its documents.
_ARCHIVED_TOGETHER = 8
#: How often to look, five times a second, whether a checkpoint is made that somebody else is making.
_CHECKPOINT_LOOKS = 100


def carry_block(kind: Kind, office: str, codes: Sequence[str]) -> tuple[list[Outcome], Fault | None]:
    """
    Carry dossiers of one office through a part of their lives; return what became of them, and what stopped it.

    Those without an outcome were not reached, or met the fault, and are to be taken again. Everything may be
    repeated: what was done is found done.
    """
    with _held(codes) as leases:
        block = Block(kind=kind, leases={code: leases[code] for code in codes if code in leases})
        seen = {code: lease.asked for code, lease in block.leases.items()}
        before = stages_of(list(block.leases))
        try:
            _PARTS[kind](block, office)
            seen = outbox.asked_of(list(block.leases))
            _look_again(block)
            report_all(block)
        except Stopped as stop:
            block.fault = stop.fault
        except Unavailable as error:
            block.fault = fault_of(error)
        outcomes = settle(block, before, seen)
    outcomes += [Outcome(code=c, result=Result.ELSEWHERE) for c in codes if c not in leases]
    return outcomes, block.fault


@contextmanager
def _held(codes: Sequence[str]) -> Iterator[dict[str, Lease]]:
    """Hold the leases of those dossiers that nobody else is at; a thread renews them all at once."""
    leases = outbox.take_these(owner(), codes)
    over = threading.Event()

    def renew() -> None:
        while not over.wait(services().settings.lease_seconds / 3):
            try:
                outbox.renew_these(list(leases.values()))
            except Unavailable:
                log.warning("the leases of a block could not be renewed in time")

    thread = threading.Thread(target=contextvars.copy_context().run, args=(renew,), daemon=True)
    thread.start()
    try:
        yield leases
    finally:
        over.set()
        thread.join()


def _certify(block: Block, _office: str) -> None:
    """Give every received original its number, then its frozen copy; take in other agencies' results."""
    wanted: dict[str, list[int]] = {}
    block.together(lambda code: wanted.__setitem__(code, _numbered(code)), held=True)
    for_results: dict[str, list[int]] = {}
    block.together(lambda code: for_results.__setitem__(code, results.results_to_accept(code)))
    _issue_copies(block, wanted)
    block.each(lambda code: [results.accept_result(code, n) for n in for_results.get(code, ())])


def _issue_copies(block: Block, wanted: Mapping[str, Sequence[int]]) -> None:
    """Set and freeze the copies of some originals, a few dossiers at a time."""
    codes = [code for code in block.sound if wanted.get(code)]
    for start in range(0, len(codes), _SET_TOGETHER):
        _issue_together(block, codes[start : start + _SET_TOGETHER], wanted)


def _issue_together(block: Block, codes: Sequence[str], wanted: Mapping[str, Sequence[int]]) -> None:
    """Read at once what copies are made of, set each alone, and say at once what is to be signed."""
    begun: dict[str, list[certification.Issue]] = {}
    made: dict[str, list[certification.Copy]] = {}

    def begin(code: str) -> None:
        issues = (certification.begin_copy(code, ordinal) for ordinal in wanted[code])
        begun[code] = [issue for issue in issues if issue is not None]

    def make(code: str) -> None:
        made[code] = [certification.set_copy(issue) for issue in begun[code]]

    block.together(begin, of=codes)
    block.each(make, of=codes)
    block.together(lambda code: [certification.freeze_copy(copy) for copy in made[code]], of=codes, held=True)


def _numbered(code: str) -> list[int]:
    """Reserve the numbers of a dossier's originals and return those that are to be copied."""
    ordinals = certification.originals_to_number(code)
    return [n for n in ordinals if certification.reserve_number(code, n)]


def _seal(block: Block, office: str) -> None:
    """Seal what the officials have signed, add the evidence that release needs, and release it."""
    try:
        seal = seal_of(office)
    except HosoError as error:
        # Not one dossier is touched on a machine that cannot seal.
        raise Stopped(fault_of(error) or Fault(owner="token", said=cause_of(error), curable=False)) from error

    unexplained = tries.unexplained(block.sound)
    for code in block.sound:
        with block.judged(code):
            for ordinal in tries.interrupted(code) if code in unexplained else ():
                tries.explain_interrupted(code, ordinal)
    wanted = [Wanted(code, ordinal) for code, ordinal in _standing_at(block.sound, Standing.APPROVED)]
    for start in range(0, len(wanted), _SEALED_TOGETHER):
        some = wanted[start : start + _SEALED_TOGETHER]
        for one, end in zip(some, sign_together(some, seal), strict=True):
            with block.judged(one.code):
                if isinstance(end, BaseException):
                    raise end
    # What needs more than a seal is not released yet.
    for code, ordinal in _standing_at(block.sound, Standing.SEALED):
        with block.judged(code):
            if code not in block.errors:
                lift_for_release(code, ordinal)
                validate(code, ordinal)


def _standing_at(codes: Sequence[str], standing: Standing) -> list[tuple[str, int]]:
    """Return the originals of one standing, by code and ordinal; none of a dossier that stands still."""
    with services().database.transaction() as session:
        return originals_at(session, codes, standing)


def _return(block: Block, _office: str) -> None:
    """Publish what is public, try every leg that is due, and close the return where all have ended."""
    due: dict[str, list[str]] = {}

    def begin(code: str) -> None:
        legs.open_legs(code)
        delivery.publish(code)
        due[code] = legs.legs_due(code)

    block.together(begin, held=True)
    with services().mail.connected():
        fault = _try_legs(block, due)
    block.together(legs.finish_return, held=True)
    if fault is not None:
        raise Stopped(fault)


def _try_legs(block: Block, due: Mapping[str, Sequence[str]]) -> Fault | None:
    """Try every leg that is due, dossier by dossier; return the fault of a server that does not answer."""
    for code in block.sound:
        ends: list[str] = []
        with block.judged(code):
            for channel in due[code]:
                ends += [delivery.deliver(code, channel)]
        if "deferred" in ends and legs.unanswered(code):
            block.waiting.add(code)
            return fault_of(MailAway("the mail server, or the portal, does not answer"))
    return None


def _archive(block: Block, _office: str) -> None:
    """Bring documents to the level that the archive needs, then lay their packages down under one checkpoint."""
    archival.store_is_safe()
    block.together(archival.ask_for_archive, held=True)
    wanting: dict[str, list[int]] = {}
    block.together(lambda code: wanting.__setitem__(code, is_wanting(code)))
    block.each(lambda code: [lift_for_archive(code, ordinal) for ordinal in wanting[code]])
    block.together(archival.begin_package, held=True)
    waiting = uncovered(block.sound)
    if waiting:
        _cover(waiting[-1])
    begun = archival.begun_of(block.sound)
    for start in range(0, len(begun), _ARCHIVED_TOGETHER):
        _archive_together(block, begun[start : start + _ARCHIVED_TOGETHER])


def _archive_together(block: Block, codes: Sequence[str]) -> None:
    """Read at once what packages are made of, lay each down alone, and say at once that they lie there."""
    found: dict[str, packing.Gathered | None] = {}
    packages: dict[str, packing.Package] = {}
    fixed: dict[str, packing.Package | None] = {}
    kept: dict[str, list[Stored]] = {}

    def make(code: str) -> None:
        gathered = found[code]
        if gathered is not None:
            packages[code] = packing.render(gathered)

    def lay_down(code: str) -> None:
        package = fixed[code]
        if package is not None:
            kept[code] = archival.lay_down_package(package)

    def end(code: str) -> None:
        archival.end_package(packages[code], kept[code])

    block.together(lambda code: found.__setitem__(code, packing.gather(code)), of=codes)
    block.each(make, of=codes)
    block.together(
        lambda code: fixed.__setitem__(code, packing.rendered_once(packages[code])),
        of=list(packages),
        held=True,
    )
    try:
        block.each(lay_down, of=list(fixed))
    finally:
        # What lies there is said to lie there, whatever kept the rest from it.
        block.together(end, of=list(kept), held=True)


def _cover(code: str) -> None:
    """Have the history signed up to a dossier's entries, or wait for whoever is signing it now."""
    for _ in range(_CHECKPOINT_LOOKS):
        try:
            if cover(code):
                return
        except Unavailable as error:
            raise Stopped(
                fault_of(error) or Fault(owner="a service", said=str(error), curable=True)
            ) from error
        time.sleep(0.2)


_PARTS: Mapping[Kind, Callable[[Block, str], None]] = {
    Kind.CERTIFICATION: _certify,
    Kind.SEALING: _seal,
    Kind.DELIVERY: _return,
    Kind.ARCHIVAL: _archive,
}


def _look_again(block: Block) -> None:
    """Do what an act may have asked for while the block was at work, as the single life does in its second look."""
    unsigned = certification.not_signed_yet(block.sound)
    if not unsigned:
        return
    anew: dict[str, list[int]] = {}

    def look(code: str) -> None:
        if code in unsigned:
            anew[code] = certification.copies_to_issue_anew(code)

    block.together(look)
    _issue_copies(block, anew)
