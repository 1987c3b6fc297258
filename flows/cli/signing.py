"""Commands of an official: review the list, unlock the key once, sign exactly that list."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import app, exit_code, say_error
from flows.cli.pins import PinFd, PinFile, ask_pin
from flows.cli.printing import AsJson, show, table
from flows.cli.private import Why, words
from flows.cli.progress import shown_to
from flows.cli.reviewing import (
    leave_out_named,
    listed,
    open_one,
    print_list,
    print_outcome,
    put_away,
    review,
)
from infra.errors import Forbidden, HosoError, Unavailable
from infra.services import services
from tasks.dossier.calendar import local
from tasks.dossier.moves import Actor
from tasks.people.acting import scope
from tasks.people.desk import logged_in
from tasks.signing import acts
from tasks.signing.lists import Listed, SignList, SignOutcome
from tasks.signing.outcomes import outcome_of, results_of

OfficeOption = Annotated[str, typer.Option("--office", help="Code of the office (default: yours).")]


@app.command()
def sign(
    write: Annotated[
        bool, typer.Option("--list", help="Write the list and print its digest; sign nothing.")
    ] = False,
    look: Annotated[
        str,
        typer.Option(
            "--open", metavar="N|CODE/ORDINAL", help="Write one listed document to a private folder."
        ),
    ] = "",
    to: Annotated[Path | None, typer.Option("--to", help="The folder for --open.")] = None,
    manifest: Annotated[
        str, typer.Option("--manifest", metavar="DIGEST", help="Sign exactly this list.")
    ] = "",
    without: Annotated[
        list[str],
        typer.Option(
            "--leave-out",
            metavar="CODE/ORDINAL[=FILE]",
            help="Leave this one out; the reason is in FILE, in fd:NUMBER, or asked for.",
        ),
    ] = [],  # noqa: B006
    outcome: Annotated[
        str, typer.Option("--outcome", metavar="DIGEST", help="Say what became of a list.")
    ] = "",
    only: Annotated[list[str], typer.Option("--only", help="Only this dossier; may be repeated.")] = [],  # noqa: B006
    take: Annotated[
        list[str], typer.Option("--take", metavar="CODE", help="Take over what waits for another official.")
    ] = [],  # noqa: B006
    pin_fd: PinFd = None,
    pin_file: PinFile = None,
    last_try: Annotated[
        bool, typer.Option("--last-try", help="Offer the PIN although the token locks itself if it is wrong.")
    ] = False,
    office: OfficeOption = "",
    as_json: AsJson = False,
) -> None:
    """Sign what waits for you: without options the list is shown, then you are asked."""
    me = logged_in()
    if outcome:
        print_outcome(outcome_of(outcome, me.staff, at=me.office), as_json=as_json)
        return
    if look:
        chosen = listed(manifest, me)
        value = open_one(chosen, look, me, to)
        show(value, as_json=as_json, text=f"{value['file']}  SHA-256 {value['sha256']}")
        return
    if manifest:
        chosen = _of_today(listed(manifest, me), me, as_json=as_json)
        leave_out_named(chosen, without, me)
    else:
        chosen = _write(office or me.office, me, only, take)
        print_list(chosen, as_json=as_json and write)
        if write:
            return
        leave_out_named(chosen, without, me)
        review(chosen, me)
    _sign(chosen.digest, me, partial(ask_pin, pin_fd, pin_file), last_try=last_try, as_json=as_json)


@app.command("leave-out")
def leave_out(
    code: str,
    ordinal: int,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Give an original back to the examiner instead of signing it."""
    acts.leave_out(code, ordinal, words(why, "Why it is left out, for the examiner"), by=logged_in())
    show({"code": code, "original": ordinal}, as_json=as_json, text=f"{code}  original {ordinal} left out")


def _write(office: str, me: Actor, only: list[str], take: list[str]) -> SignList:
    """Write the list; pages that are dated another day are issued anew under their numbers first."""
    from tasks.certification import steps as certification

    official = me.staff
    with services().database.transaction() as session:
        scope(session, me, "sign", office=office)
    for code in take:
        for ordinal in certification.copies_waiting(office, code):
            certification.issue_copy(code, ordinal, official=official)
    for code, ordinal in certification.stale_copies(office, official):
        if not only or code in only:
            certification.renew_copy(code, ordinal, official)
    return acts.write_list(office, official, only=only or None)


def _of_today(chosen: SignList, me: Actor, *, as_json: bool) -> SignList:
    """
    Return the list itself, if it is today's; one of an earlier day is written anew, to be reviewed again.

    The pages get today's date under their numbers, so they are other bytes than those that were reviewed.
    """
    if chosen.for_day == local(services().clock.now()).date():
        return chosen
    fresh = _write(chosen.office, me, [d.dossier for d in chosen.documents], [])
    print_list(fresh, as_json=as_json)
    if not sys.stdin.isatty():
        raise Forbidden(
            f"the list of {chosen.for_day} was written anew with today's pages; nothing was signed.",
            rule="CERT-26",
            way_out=f"Review it, then sign it with “hoso sign --manifest {fresh.digest[:16]}”.",
        )
    review(fresh, me)
    return fresh


def _sign(digest: str, me: Actor, ask: Callable[[], str], *, last_try: bool, as_json: bool) -> None:
    """Unlock the key for one list, sign it, and print what became of each document."""
    from tasks.signing.keys import official_key, types_on_a_pad
    from tasks.signing.together import Wanted, sign_together

    official = me.staff
    on_pad = types_on_a_pad(me.office, official)
    pin = None if on_pad else ask()
    chosen = acts.unlock_list(digest, official, at=me.office)
    if on_pad:
        print("Type the PIN on the token's own pad.", file=sys.stderr)
    out_before = {place for place, known in results_of(chosen.digest).items() if known.result == "left out"}
    outcomes: list[SignOutcome] = []
    try:
        with (
            official_key(chosen.office, official, pin, last_try=last_try) as key,
            shown_to("signed", len(chosen.documents)) as done,
        ):

            def told(outcome: SignOutcome) -> None:
                outcomes.append(outcome)
                done(len(outcomes))

            def sign(some: Sequence[Listed]) -> list[bool | BaseException | None]:
                return sign_together([Wanted(d.dossier, d.original, d.sha256) for d in some], key)

            acts.sign_list(chosen, sign, told=told)
    except (HosoError, KeyboardInterrupt) as error:
        acts.tell_refused_unlock(chosen, error)
        if outcomes:
            _print_outcomes(outcomes, as_json=as_json)
        if isinstance(error, KeyboardInterrupt):
            _say_stopped(digest, outcomes, len(chosen.documents))
        raise
    finally:
        put_away(chosen)
    _print_outcomes(outcomes, as_json=as_json)
    if any(outcome.result == "not reached" for outcome in outcomes):
        acts.tell_refused_unlock(chosen, Unavailable("not every document was reached"))
    _say_unsigned([o for o in outcomes if (o.dossier, o.original) not in out_before])


def _say_stopped(digest: str, outcomes: list[SignOutcome], documents: int) -> None:
    """Say after Ctrl-C what is done, and how to go on; no signature is ever half done."""
    done = sum(o.result in ("signed", "signed before") for o in outcomes)
    print(
        f"Stopped: {done} of {documents} documents are signed."
        f" “hoso sign --manifest {digest[:16]}” goes on with the rest.",
        file=sys.stderr,
    )


def _say_unsigned(outcomes: list[SignOutcome]) -> None:
    """End with a refusal when something was not signed that was to be."""
    unsigned = [o for o in outcomes if o.result not in ("signed", "signed before")]
    if unsigned:
        failed = Forbidden(
            f"{len(unsigned)} of {len(outcomes)} documents were not signed.",
            rule="SIG-12",
            way_out="The table says why; write a new list for what can be signed.",
        )
        say_error(failed)
        raise typer.Exit(exit_code(failed))


def _print_outcomes(outcomes: list[SignOutcome], *, as_json: bool) -> None:
    """Print what became of each document."""
    if as_json:
        show(outcomes, as_json=True, text="")
        return
    rows = [(o.dossier, o.original, o.result, o.why) for o in outcomes]
    table("Signed", ("dossier", "original", "result", "why"), rows)
