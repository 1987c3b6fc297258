"""F22: acts by the wrong person, a list signed again, and a login whose role ended, while everybody works: none is let through."""

from __future__ import annotations

from typing import Any

from tests.faults.runner.injectors import Fault, Scene
from tests.faults.runner.site import OFFICE, Site, log_in


def wrong_person(scene: Scene) -> str:
    """Let everybody type what belongs to somebody else."""
    site, life = scene.site, scene.somebody("rights")
    if not life.book():
        return ""
    pin = site.root / "secrets" / "pin_officials"
    digests = [row[0] for row in site.ask("select digest from sign_list order by written_at desc limit 1")]
    tries: list[tuple[str, str, tuple[object, ...]]] = [
        ("mai", "list:unlocked", ("sign", "--list", "--json")),
        *(("mai", "signature:done", ("sign", "--manifest", one, "--pin-file", pin)) for one in digests),
        ("ha", "dossier:received", ("receive", life.code, *life.paid(), *life.originals())),
        ("cong", "dossier:received", ("receive", life.code, *life.paid(), *life.originals())),
        ("stranger", "dossier:received", ("receive", life.code, *life.paid(), *life.originals())),
        ("mai", "role:granted", ("person", "grant", f"{OFFICE}/mai", "--role", "official")),
        ("cong", "dossier:declined", ("decline", life.code, "--reason", "R1", "--why", life.why())),
    ]
    scene.random.shuffle(tries)
    said = [try_out(site, by, event, life.code, words) for by, event, words in tries]
    life.act("cancel", life.code, by="cong", done=("Cancelled",))
    return f"{len(said)} tries ended with {sorted(set(said))}"


def list_again(scene: Scene) -> str:
    """Sign a list once more that was signed to its end: the token is not called, and no signature is added."""
    site = scene.site
    ended = site.ask("select digest from sign_list where ended_at is not null order by digest")
    if not ended:
        return ""
    digest = scene.random.choice(ended)[0]
    pin = site.root / "secrets" / "pin_officials"
    with scene.office.signing:
        before = _of_list(scene, digest)
        said = site.hoso("sign", "--manifest", digest, "--pin-file", pin, by="ha")
        after = _of_list(scene, digest)
    site.journal.tell("replayed", digest=digest[:16], code=said.code, before=before, after=after)
    return f"ended with {said.code}, {after[0]} signatures as before"


def ended_login(scene: Scene) -> str:
    """Take a clerk's role away who is logged in, let them work on with that login, and give it back."""
    site, life = scene.site, scene.somebody("ended-login")
    if not (site.folder / "desks" / "son.session").exists():
        log_in(site, "son")
    if not life.book():
        return ""
    words = ("person", "revoke", f"{OFFICE}/son", "--role", "clerk")
    if not life.act(*words, by="an"):
        return ""
    tries = (
        ("dossier:received", ("receive", life.code, *life.paid(), *life.originals())),
        ("dossier:declined", ("decline", life.code, "--reason", "R1", "--why", life.why())),
    )
    said = [try_out(site, "son", event, life.code, typed) for event, typed in tries]
    site.hoso("person", "grant", f"{OFFICE}/son", "--role", "clerk", by="an")
    life.act("cancel", life.code, by="cong", done=("Cancelled",))
    return f"{len(said)} tries ended with {sorted(set(said))}"


def try_out(site: Site, by: str, event: str, code: str, words: tuple[object, ...]) -> int:
    """Type something that is not theirs to type; the checker knows by `event` whether it was done."""
    said = site.hoso(*words, by=by)
    site.journal.tell("forbidden", by=by, verb=str(words[0]), event=event, codes=[code], code=said.code,
                      said=said.err[:200])  # fmt: skip
    return said.code


def _of_list(scene: Scene, digest: str) -> list[Any]:
    """Return how many signatures the originals of a list bear by officials, and how often a token was asked for them."""
    query = (
        "select count(*), coalesce(sum(s.tries), 0) from signature s join listed_document l"
        " on l.dossier = s.dossier and l.ordinal = s.ordinal where l.digest = %s and s.role = 'official'"
    )
    return [int(one) for one in scene.site.ask(query, digest)[0]]


FAULTS = [
    Fault(row="F22", name="wrong-person", inject=wrong_person),
    Fault(row="F22", name="signed-list-again", inject=list_again),
    Fault(row="F22", name="login-after-its-role-ended", inject=ended_login, slow=True),
]
