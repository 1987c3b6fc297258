"""How an official reviews a list at the terminal: open, leave out, confirm; and what became of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from flows.cli.printing import say, show, table
from flows.cli.private import words
from flows.cli.review_table import ReviewTable
from infra.errors import Forbidden
from infra.private_file import write_private
from infra.services import services
from tasks.dossier.moves import Actor
from tasks.signing import acts
from tasks.signing.lists import SignList, SignOutcome
from tasks.signing.outcomes import Outcome, find_listed, latest_list, open_listed, results_of

_HOW = (
    "“o 2” opens the second, “x 2” leaves it out, “f WORD” narrows, “t due|kind|pages” sorts, “n” shows more, "
    "“s” signs the rest, “q” stops"
)


def listed(digest: str, me: Actor) -> SignList:
    """Return the list that a digest names, or the person's last one where none is named."""
    return acts.list_of(digest, me.staff, at=me.office) if digest else latest_list(me.staff, at=me.office)


def print_list(written: SignList, *, as_json: bool) -> None:
    """Print a list for review, and its digest."""
    if as_json:
        show(written, as_json=True, text="")
        return
    ReviewTable(written).show(every=not sys.stdin.isatty())
    say(f"digest {written.digest}")


def print_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Print what became of a list."""
    if as_json:
        show(outcome, as_json=True, text="")
        return
    rows = [
        (d.number, d.dossier, d.original, d.opened_at, d.result, d.at, d.why, d.sha256[:16])
        for d in outcome.documents
    ]
    columns = ("", "dossier", "original", "opened", "result", "when", "why", "SHA-256")
    table(f"List {outcome.list[:16]} of {outcome.official}", columns, rows)
    say(f"outcome {outcome.sha256}")


def open_one(chosen: SignList, which: str, me: Actor, to: Path | None) -> dict[str, str]:
    """Write exactly the listed bytes of one document into a folder of the person's own, and say where."""
    document, content = open_listed(chosen, which, by=me)
    folder = to or _folder(chosen)
    if folder.is_symlink() or (folder.exists() and folder.stat().st_uid != os.getuid()):
        raise Forbidden(
            f"{folder} is a link or belongs to somebody else.",
            rule="SIG-12",
            way_out="Name a folder of your own with --to.",
        )
    file = folder / f"{document.dossier}-{document.original}.pdf"
    try:
        write_private(file, content)
        folder.chmod(0o700)
    except OSError as error:
        raise Forbidden(
            f"{file} cannot be written: {error.strerror}.",
            rule="SIG-12",
            way_out="Name another folder with --to.",
        ) from error
    return {"file": str(file), "sha256": document.sha256}


def put_away(chosen: SignList) -> None:
    """Remove what was opened of a list, once it was signed or stopped; a folder named with --to is the person's."""
    shutil.rmtree(_folder(chosen), ignore_errors=True)


def _folder(chosen: SignList) -> Path:
    """Return where the documents of a list are opened."""
    return services().settings.var_dir.absolute() / "review" / chosen.digest[:16]


def leave_out_named(chosen: SignList, named: Sequence[str], me: Actor) -> None:
    """Leave out what the command line names; every reason is read before anything is done."""
    found = []
    for word in named:
        which, _, source = word.partition("=")
        find_listed(chosen, which)
        found.append((which, _reason(which, source)))
    for which, reason in found:
        acts.leave_out_of(chosen, which, reason, by=me)
    _something_is_left(chosen)


def _something_is_left(chosen: SignList) -> None:
    """Refuse to ask for a PIN when every document of a list was left out."""
    known = results_of(chosen.digest)
    if all(_is_out(known.get((d.dossier, d.original))) for d in chosen.documents):
        raise Forbidden(
            "every document of the list was left out; there is nothing to sign.",
            rule="SIG-12",
            way_out="The examiner has them again; “hoso sign --outcome” shows the list.",
        )


def _is_out(known: SignOutcome | None) -> bool:
    """Tell whether a document was left out."""
    return known is not None and known.result == "left out"


def _reason(which: str, source: str) -> str:
    """Return the official's reason, from where nobody else sees it: a file, a descriptor, or the keyboard."""
    text = words(source, f"Why {which} is left out (for the examiner)")
    if not text:
        raise Forbidden(
            f"there is no reason why {which} is left out.",
            rule="SIG-12",
            way_out="The examiner needs one: “--leave-out CODE/ORDINAL=FILE”.",
        )
    return text


def review(chosen: SignList, me: Actor) -> None:
    """Let an official open documents and leave some out until they say that the rest is to be signed."""
    if not sys.stdin.isatty():
        raise Forbidden(
            "there is nobody to ask; nothing was signed.",
            rule="SIG-12",
            way_out=f"The list stays as it was written: “hoso sign --manifest {chosen.digest[:16]}”.",
        )
    shown = ReviewTable(chosen)
    while True:
        word, _, which = typer.prompt(_HOW, prompt_suffix=": ").strip().partition(" ")
        try:
            if word == "o":
                said = open_one(chosen, which.strip(), me, None)
                say(f"{said['file']}  SHA-256 {said['sha256']}")
            elif word == "x":
                document = find_listed(chosen, which.strip())
                reason = _reason(f"{document.dossier}/{document.original}", "")
                acts.leave_out_of(chosen, which.strip(), reason, by=me)
            elif word == "s":
                _something_is_left(chosen)
                return
            elif word == "q":
                break
            elif not shown.obey(word, which):
                say(f"“{word}” is not one of these")
        except Forbidden as error:
            say(f"{error.message} {error.way_out}")
    raise Forbidden("nothing was signed.", rule="SIG-12", way_out="The list stays as it was written.")
