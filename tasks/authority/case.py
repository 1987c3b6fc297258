"""
One post of one person, looked at for one signature: what is on record for it, what is lacking, and the two answers.

Each refusal names the rule and the way out, and both officials where a mandate has a giver.
"""

from __future__ import annotations

from datetime import date

from infra.clock import HANOI
from tasks.authority.values import Asked, Decision, Holding, Mandate, Post, last_second, wall
from tasks.authority.wording import first_line

#: From this day a civil servant may certify for the Chairman under a written authorisation (CERT-08, NĐ 280/2025).
CIVIL_SERVANTS_SINCE = date(2025, 11, 1)


class Case:
    """One holding of one person, looked at for one signature."""

    def __init__(self, asked: Asked, held: Holding) -> None:
        self.asked, self.held, self.records = asked, held, asked.records
        self.post = self.records.post(held.post)

    # What they lack -------------------------------------------------------------------------------

    def has(self, capacity: str) -> bool:
        """Tell whether any mandate in a capacity was ever given to this person or post."""
        return any(m.capacity == capacity for m in self._mine())

    def _mine(self, to_post: Post | None = None) -> list[Mandate]:
        """Return the mandates to this person or post, or to another post."""
        if to_post is not None:
            return [m for m in self.records.mandates if m.to_post == to_post.code]
        staff, post = self.asked.staff, self.held.post
        return [m for m in self.records.mandates if m.to == staff or (m.to_post and m.to_post == post)]

    def mandate(
        self, capacity: str, giver_post: Post | None, *, to_post: Post | None = None
    ) -> tuple[Mandate | None, Decision | None]:
        """Return the mandate in force that covers the procedure, or the refusal that says what comes nearest."""
        mine = [m for m in self._mine(to_post) if m.capacity == capacity]
        names = {self.asked.procedure, self.asked.kind}
        covering = [m for m in mine if names & set(m.covers)]
        live = [m for m in covering if m.holds_at(self.asked.moment)]
        if not live:
            return None, self._none_in_force(capacity, mine, covering)
        mandate = max(live, key=lambda m: (m.since, m.id))
        if no := self._not_theirs_to_give(mandate, giver_post):
            return None, no
        if mandate.basis.kind != BASES[capacity]:
            return None, self.no(
                "AUTH-01",
                f"{capacity} needs {BASES_SAID[capacity]}, but the mandate of {self.asked.staff} from"
                f" {mandate.giver} rests on {mandate.basis.said()} ({mandate.basis.kind}).",
                "Put the right document on record with “hoso mandate give”.",
                mandate,
            )
        return mandate, None

    def _none_in_force(self, capacity: str, mine: list[Mandate], covering: list[Mandate]) -> Decision:
        """Return why no mandate counts: ended, not begun, of other procedures, or none at all."""
        staff, way_out = (
            self.asked.staff,
            "Let another official sign, or record a mandate (hoso mandate give).",
        )
        past = [m for m in covering if m.before is not None and m.before <= self.asked.moment]
        if past:
            last = max(past, key=lambda m: m.before or m.since)
            by = f" by {last.ended_by}" if last.ended_by else ""
            ended = last_second(last.before) if last.before else ""
            said = f"the mandate {capacity} of {staff} from {last.giver} ({last.basis.number}) ended at {ended}{by}."
            return self.no("AUTH-01", said, way_out, last)
        if covering:
            coming = min(covering, key=lambda m: m.since)
            said = (
                f"the mandate {capacity} of {staff} from {coming.giver} begins only at {wall(coming.since)}."
            )
            return self.no("AUTH-01", said, way_out, coming)
        if mine:
            other = max(mine, key=lambda m: m.id)
            said = (
                f"the mandate {capacity} of {staff} from {other.giver} covers {', '.join(other.covers)},"
                f" not {self.asked.procedure}."
            )
            return self.no("AUTH-01", said, way_out, other)
        said = f"{staff} is on record with no mandate that a {self.post.title} needs to sign for somebody ({capacity})."
        return self.no("CERT-08" if self.asked.kind == "certification" else "AUTH-01", said, way_out)

    def _not_theirs_to_give(self, mandate: Mandate, giver_post: Post | None) -> Decision | None:
        """Return the refusal of a mandate by somebody who did not hold the post that may give it."""
        given = self.records.post(mandate.giver_post)
        if mandate.giver == self.asked.staff:
            return self.no(
                "AUTH-01",
                f"{mandate.giver} gave the mandate {mandate.capacity} to themselves.",
                "The holder of the post above must give it.",
                mandate,
            )
        if giver_post is None or given.code != giver_post.code:
            again = " what was delegated is not delegated again;" if mandate.capacity == "TUQ." else ""
            return self.no(
                "AUTH-01",
                f"{mandate.giver} as {given.title} cannot give {self.asked.staff} the mandate"
                f" {mandate.capacity}:{again} only {giver_post.title if giver_post else 'the head'} may.",
                "The holder of the head's post must give a mandate of their own.",
                mandate,
            )
        if not any(h.staff == mandate.giver for h in self.records.holders(given.code, mandate.since)):
            return self.no(
                "AUTH-01",
                f"{mandate.giver} did not hold the post {given.title} when the mandate {mandate.capacity} of"
                f" {self.asked.staff} began ({wall(mandate.since)}).",
                "Record who held it, or let its holder give a new mandate.",
                mandate,
            )
        return None

    def authoriser(self) -> str:
        """Return the post whose holder may authorise somebody in this post: the head's above it, however far."""
        post, seen = self.post, {self.post.code}
        while post.under and post.under not in seen:
            seen.add(post.under)
            post = self.records.post(post.under)
        return post.code

    def lacks_form(self, mandate: Mandate) -> Decision | None:
        """Return the refusal of an authorisation without limits of time and content."""
        lacks = (
            "an end" if mandate.before is None else "" if mandate.limits.strip() else "limits of its content"
        )
        if not lacks:
            return None
        said = (
            f"the authorisation of {self.asked.staff} by {mandate.giver} has no {lacks.removeprefix('an ')}."
        )
        return self.no("AUTH-01", said, "TUQ. is limited in time and content: record both.", mandate)

    def lacks_rank(self, mandate: Mandate) -> Decision | None:
        """Return the refusal of an authorisation to somebody who cannot have one."""
        if self.post.rank == "unit-head":
            return None
        day = self.asked.moment.astimezone(HANOI).date()
        certifies = self.asked.kind == "certification" and day >= CIVIL_SERVANTS_SINCE
        if self.post.rank == "civil-servant" and certifies:
            return None
        return self.no(
            "CERT-08" if self.post.rank == "civil-servant" else "AUTH-01",
            f"{mandate.giver} cannot authorise {self.asked.staff} as {self.post.title}: TUQ. is for the head of a"
            " subordinate unit, and for a civil servant only to certify from 01/11/2025.",
            "A deputy signs KT.; otherwise let another official sign.",
            mandate,
        )

    def giver_left(self, mandate: Mandate) -> Decision | None:
        """Return the refusal of an authorisation whose giver no longer holds the post (a choice of the office)."""
        if not self.asked.regime.authorisation_ends_with_giver:
            return None
        holders = self.records.holders(mandate.giver_post, self.asked.moment)
        if any(h.staff == mandate.giver for h in holders):
            return None
        title = self.records.post(mandate.giver_post).title
        now = f"; {holders[0].staff} does now" if holders else ""
        return self.no(
            "AUTH-01",
            f"{mandate.giver}, who authorised {self.asked.staff} ({mandate.basis.number}), no longer holds the post"
            f" {title}{now}.",
            f"The present {title} must give an authorisation of their own.",
            mandate,
        )

    def two(self, post: Post) -> Decision | None:
        """Return the refusal of everything while two persons hold a post that has room for one."""
        holders = self.records.holders(post.code, self.asked.moment)
        if len(holders) < 2:
            return None
        both = sorted({h.staff for h in holders})
        said = f"{' and '.join(both)} both hold the post {post.title} ({', '.join(h.decision for h in holders)})."
        way_out = "Put on record when one of them left it (hoso post end)."
        return self.no("AUTH-01", said, way_out, officials=tuple(both))

    def unanswered(self, post: Post) -> Decision | None:
        """Return the refusal while nobody holds a post and no deputy is in charge of it."""
        moment = self.asked.moment
        deputies = [p.code for p in self.records.posts if p.under == post.code]
        charged = [h for d in deputies for h in self.records.holders(d, moment) if h.manner == "in-charge"]
        return None if self.records.holders(post.code, moment) or charged else self.vacant(post)

    def vacant(self, post: Post) -> Decision:
        """Return the refusal of signing for a post that nobody holds, with who held it last."""
        moment = self.asked.moment
        past = [h for h in self.records.holdings if h.post == post.code and h.before and h.before <= moment]
        last = max(past, key=lambda h: h.before or h.since, default=None)
        since = f" since {last.staff} left it at {last_second(last.before)}" if last and last.before else ""
        return self.no(
            "AUTH-01",
            f"nobody holds the post {post.title}{since}: {self.asked.staff} cannot sign for it.",
            "Record who holds it, who acts in it, or which deputy is in charge (hoso post give).",
            officials=(self.asked.staff, *((last.staff,) if last else ())),
        )

    # Answers --------------------------------------------------------------------------------------

    @property
    def collective(self) -> bool:
        """Whether the step is signed for the collective: it names `TM.` before own right, or alone."""
        return next((c for c in self.asked.capacities if c in ("own", "TM.")), "own") == "TM."

    def line(self, capacity: str, head: Post) -> str:
        """Return the line that names for whom it is signed."""
        return first_line(capacity, self.asked.regime.lines, head=head.title)

    def yes(
        self,
        capacity: str,
        lines: list[str],
        mandates: tuple[Mandate, ...] = (),
        *warnings: str,
        rule: str = "AUTH-01",
    ) -> Decision:
        """Return that it may be signed so, if the step takes the capacity; for a collective, `TM.` goes before."""
        regime = self.asked.regime
        if self.collective and capacity in ("own", "Q.", "KT."):
            if regime.kind != "TAP_THE":
                return self.no(
                    "AUTH-01",
                    f"{self.asked.staff} cannot sign TM.: {self.asked.office} has a head, not a collective body.",
                    "Correct the step's capacities, or the office's regime.",
                )
            lines = [first_line("TM.", regime.lines, collective=regime.collective), *lines]
            capacity = "TM." if capacity == "own" else f"TM. {capacity}"
        if not _step_takes(self.asked.capacities, capacity, alone=bool(warnings)):
            return self.no(
                "AUTH-01",
                f"{self.asked.staff} signs as {capacity}, but this step takes {', '.join(self.asked.capacities)}.",
                "An official with such a capacity must sign.",
                *mandates,
            )
        return Decision(
            staff=self.asked.staff,
            moment=self.asked.moment,
            rule=rule,
            capacity=capacity,
            lines=tuple(lines),
            post=self.post.title,
            holding=self.held.id,
            holding_decision=self.held.decision,
            mandates=tuple(m.id for m in mandates),
            basis="; ".join(m.basis.said() for m in mandates),
            limits="; ".join(m.limits for m in mandates if m.limits),
            giver=mandates[0].giver if mandates else "",
            warnings=warnings,
        )

    def no(
        self, rule: str, message: str, way_out: str, *mandates: Mandate, officials: tuple[str, ...] = ()
    ) -> Decision:
        """Return a refusal; about giver and receiver where there is a mandate."""
        about = (*(m.giver for m in mandates), self.asked.staff)
        return Decision(
            staff=self.asked.staff,
            moment=self.asked.moment,
            rule=rule,
            message=message,
            way_out=way_out,
            officials=officials or tuple(dict.fromkeys(about)),
            holding=self.held.id,
            mandates=tuple(m.id for m in mandates),
        )


#: What each capacity must rest on.
BASES = {"KT.": "assignment", "own": "assignment", "TL.": "regulation", "TUQ.": "authorisation"}
BASES_SAID = {
    "KT.": "an assignment of work",
    "own": "an assignment of work",
    "TL.": "the working regulation",
    "TUQ.": "a written authorisation",
}


def _step_takes(taken: tuple[str, ...], capacity: str, *, alone: bool) -> bool:
    """
    Tell whether a step takes a capacity: every part of it must be named; who takes the head takes the acting head.

    >>> _step_takes(("own", "KT."), "Q.", alone=False), _step_takes(("own", "KT."), "TL.", alone=False)
    (True, False)
    >>> _step_takes(("TM.",), "TM. KT.", alone=False), _step_takes(("TM.", "KT."), "TM. KT.", alone=False)
    (False, True)
    """
    for part in capacity.split(" "):
        fits = part in taken
        fits = fits or (part == "Q." and ("own" in taken or "TM." in taken))
        # A deputy's title alone is a short form of KT. (AUTH-02).
        fits = fits or (part == "own" and alone and "KT." in taken)
        if not fits:
            return False
    return True
