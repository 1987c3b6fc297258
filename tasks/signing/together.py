"""
The next signatures of several originals with one key: the database is asked once for all, the token for each.

What `tasks.signing.once` says of one signature holds for each. All intents are committed before the token is
touched, and a result lies in the store under its own name before any is kept, so whoever comes after a crash finds
each as if they had been signed one by one. Sharing two transactions spares most of what a signature costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.history import Json
from infra.pdf.checking import SignatureFound
from infra.services import services
from tasks.dossier.looking import hold_these
from tasks.signing.authorising import Signer
from tasks.signing.intents import Intent, ask_before, intend_after
from tasks.signing.lists import STOPS
from tasks.signing.once import Once, make_once
from tasks.signing.steps import Seen, look_over, once_of, release, sign_original
from tasks.signing.tries import name_of, tell_end

#: What became of one: whether a signature was kept now (`False`: before), or why not; `None`: it was not reached.
End = bool | BaseException | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An original that is to get its next signature, and the bytes that were reviewed, by hash, if somebody did."""

    code: str
    ordinal: int
    expected_sha256: str | None = None

    @property
    def name(self) -> str:
        """The name that whoever signs it holds meanwhile."""
        return name_of(self.code, self.ordinal)


@dataclass(frozen=True, slots=True)
class _Made:
    """A signed revision in the store, and what was seen when the whole document was read back for its release."""

    task: Once
    signed: bytes
    found: SignatureFound
    seen: Seen | Exception | None


@dataclass(slots=True)
class _Together:
    """One round: a key, what became of each so far, and whether anything stops the rest."""

    signer: Signer
    ends: dict[Wanted, End] = field(default_factory=dict)
    stopped: bool = False

    @contextmanager
    def judged(self, one: Wanted) -> Iterator[None]:
        """Let an error be what became of one; what concerns all stops the round."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  Whoever asked for it raises or tells it.
            self.ends[one] = error
            self.stopped = self.stopped or isinstance(error, STOPS)


def sign_together(wanted: Sequence[Wanted], signer: Signer) -> list[End]:
    """
    Give originals their next signature by one signer; return what became of each, in their order.

    Each is refused or fails for itself. What concerns all (token, PIN, a service, Ctrl-C) is the end of whichever met
    it, and the rest is not reached: no call of the token was made for them, and the history says that their tries
    ended. Where procedures ask for no evidence, sealed documents are released too, in the transaction that keeps
    the seal. Repeating is harmless at every point. Raises what a database that is away raises.
    """
    this = _Together(signer)
    with services().database.locked_these([one.name for one in wanted]) as ours:
        _sign(this, [one for one in dict.fromkeys(wanted) if one.name in ours])
    for one in wanted:
        if one.name not in ours and one not in this.ends and not this.stopped:
            # Somebody else is at it: wait for them, as for one alone.
            with this.judged(one):
                this.ends[one] = sign_original(
                    one.code, one.ordinal, signer, expected_sha256=one.expected_sha256
                )
    return [this.ends.get(one) for one in wanted]


def _sign(this: _Together, mine: Sequence[Wanted]) -> None:
    """Take those whose names are held from the intent to what is kept."""
    intents = _intend(this, mine)
    made: dict[Wanted, _Made] = {}
    for one, intent in intents.items():
        if this.stopped:
            break
        with this.judged(one):
            made[one] = _make(intent, this.signer)
    _keep(this, made)
    _tell_not_reached(intents[one] for one in intents if one not in made and one not in this.ends)


def _intend(this: _Together, mine: Sequence[Wanted]) -> dict[Wanted, Intent]:
    """Commit all intents at once and return them; a refusal is committed with them."""
    before = ask_before([(one.code, one.ordinal) for one in mine], this.signer) if mine else {}

    def intend() -> dict[Wanted, Intent]:
        intents: dict[Wanted, Intent] = {}
        _hold(mine)
        for one in mine:
            if this.stopped:
                break
            with this.judged(one):
                known = before[one.code, one.ordinal]
                intent = intend_after(one.code, one.ordinal, this.signer, one.expected_sha256, known)
                if intent is None:
                    this.ends[one] = False
                else:
                    intents[one] = intent
        return intents

    return services().database.as_one(intend)


def _make(intent: Intent, signer: Signer) -> _Made:
    """Return what the token made and the store has; a document that is complete is read back as a whole."""
    task = once_of(intent, signer)
    signed, found = make_once(task, signer)
    seen: Seen | Exception | None = None
    if intent.last:
        try:
            seen = look_over(intent.key)
        except Exception as error:  # noqa: BLE001  What is made is kept first; then this is why it is not released.
            seen = error
    return _Made(task, signed, found, seen)


def _keep(this: _Together, made: dict[Wanted, _Made]) -> None:
    """Keep what was made, and release what is complete, all in one transaction; a refusal is told in it too."""

    def keep() -> None:
        _hold(made)
        for one, result in made.items():
            with this.judged(one):
                this.ends[one] = result.task.keep(result.signed, result.found)
                if isinstance(result.seen, Exception):
                    raise result.seen
                if result.seen is not None:
                    release(one.code, one.ordinal, result.seen)

    if made:
        services().database.as_one(keep)


def _hold(these: Iterable[Wanted]) -> None:
    """Lock the dossiers of a round before anything is written about one."""
    with services().database.transaction() as session:
        hold_these(session, {one.code for one in these})


def _tell_not_reached(intents: Iterable[Intent]) -> None:
    """Say in the history of tries that were never begun that they ended, and that the token was not asked."""
    with services().database.together():
        for intent in intents:
            if not intent.stored:
                facts: dict[str, Json] = {"cause": "not reached", "called": False}
                tell_end(intent, event="signature:failed", facts=facts)
