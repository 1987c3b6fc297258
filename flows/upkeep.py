"""What is done by the clock besides the batches: the second look, no-shows, checkpoints, certificates that end."""

from __future__ import annotations

import asyncio

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.dossier import carry
from flows.errands import Errand, owner
from flows.projector import project
from flows.running import by_the_clock
from infra.errors import HosoError, Unavailable
from tasks.appointment.acts import keep_no_shows
from tasks.archival.checkpoints import keep_checkpoint
from tasks.archival.fixity import read_archive
from tasks.archival.locks import renew_locks
from tasks.archival.renewals import archive_renewed
from tasks.certificates.watching import watch
from tasks.dossier import outbox
from tasks.erasure.erasing import erase, erasures_due
from tasks.evidence.calendar import due
from tasks.evidence.steps import lift
from tasks.issued.lists import make_list
from tasks.locking.reminding import remind_of_registers


@by_the_clock("sweep")
async def sweep(limit: int = 200) -> State[None]:
    """Carry on up to `limit` dossiers that are due and nobody took, then set every run right."""
    carried = 0
    while carried < limit:
        leases = await asyncio.to_thread(outbox.take, owner(), 1)
        if not leases:
            break
        await Errand(lease=leases[0]).run(carry)
        carried += 1
    wrong = await _show()
    return Completed(message=f"{carried} dossiers carried on, {wrong} runs set right")


@by_the_clock("no-shows")
async def no_shows() -> State[None]:
    """End the booked dossiers whose applicant did not come."""
    ended = await asyncio.to_thread(keep_no_shows)
    return Completed(message=f"{len(ended)} no-shows")


@by_the_clock("checkpoint")
async def checkpoint() -> State[None]:
    """Sign the history as it stands, and bring the checkpoint to the authority, the archive and the witness."""
    kept = await asyncio.to_thread(keep_checkpoint)
    said = f"{kept.size} entries are signed"
    if kept.waits:
        raise Unavailable(f"{said}; still missing: {'; '.join(kept.waits)}")
    return Completed(message=said)


@by_the_clock("standing-list")
async def standing_list() -> State[None]:
    """Sign which results stand now, and lay the list into the archive."""
    made = await asyncio.to_thread(make_list)
    return Completed(
        message=f"{made.valid} files stand, {made.ended} do not; the next list by {made.next_update}"
    )


@by_the_clock("register-reminder")
async def register_reminder() -> State[None]:
    """Remind every office of registers whose year is over and that nobody has locked."""
    failed = await asyncio.to_thread(remind_of_registers)
    if failed:
        return Failed(message=f"not sent: {', '.join(failed)}")
    return Completed(message="every office that must lock a register was told")


@by_the_clock("erasure")
async def erase_what_is_due() -> State[None]:
    """Erase what is personal about dossiers whose period is over; FAILED names those that are left."""
    erased, left = 0, []
    for code in await asyncio.to_thread(erasures_due):
        try:
            await asyncio.to_thread(erase, code)
            erased += 1
        except HosoError as error:
            left.append(f"{code} ({type(error).__name__})")
    if left:
        return Failed(message=f"{erased} dossiers erased; not erased: {', '.join(left)}")
    return Completed(message=f"{erased} dossiers erased")


@by_the_clock("certificates")
async def certificates() -> State[None]:
    """End what has expired, warn of what ends within 90, 60 or 30 days, and ask for what must be revoked."""
    seen = await asyncio.to_thread(watch)
    return Completed(
        message=f"{seen.expired} expired, {len(seen.warned)} warnings, {seen.to_revoke} to be revoked,"
        f" {seen.overdue} of them overdue"
    )


async def _show() -> int:
    """Set every run right, and return how many were wrong."""
    async with get_client() as client:
        return await project(client)


@by_the_clock("preservation")
async def preserve() -> State[None]:
    """Renew every document whose evidence ends soon, and lay it beside its package; FAILED names what is left."""
    renewed, left = 0, []
    for code, ordinal in await asyncio.to_thread(due):
        try:
            renewed += await asyncio.to_thread(lift, code, ordinal, None)
            await asyncio.to_thread(archive_renewed, code, ordinal)
        except HosoError as error:
            # The others are renewed all the same; this one is tried again every night until its end.
            left.append(f"{code}/{ordinal} ({type(error).__name__})")
    if left:
        return Failed(message=f"{renewed} documents renewed; not renewed: {', '.join(left)}")
    return Completed(message=f"{renewed} documents renewed")


@by_the_clock("fixity")
async def fixity() -> State[None]:
    """Renew locks that must not end, read a share of archive and history again; FAILED names what differs."""
    renewed = await asyncio.to_thread(renew_locks)
    night = await asyncio.to_thread(read_archive)
    lines = [
        f"# What was read of the archive, run {night.run}",
        "",
        f"{night.objects} objects, {night.bytes / 1e6:.1f} MB at {night.speed:.0f} MB/s; "
        f"{night.entries} entries of the history; {renewed} locks renewed. Report: `{night.report}`",
        "",
        "| key | version | what | expected | found |",
        "|---|---|---|---|---|",
        *(f"| `{f.key}` | `{f.version}` | {f.what} | {f.expected} | {f.found} |" for f in night.findings),
    ]
    await acreate_markdown_artifact("\n".join(lines), key="fixity", description="What was read")
    if night.findings:
        named = ", ".join(f"{f.key} ({f.what})" for f in night.findings[:5])
        return Failed(message=f"{len(night.findings)} things are not as they were written: {named}")
    return Completed(message=f"{night.objects} objects and {night.entries} entries are as they were written")
