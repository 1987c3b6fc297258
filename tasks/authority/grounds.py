"""
What a post gives to its holder, by rank: in own right, or for another by KT., TL., TUQ. (AUTH-01, AUTH-02, AUTH-08).

Each ground that a person may have is either a decision that allows the signature or one that says what it lacks.
"""

from __future__ import annotations

from collections.abc import Iterator

from tasks.authority.case import Case
from tasks.authority.values import Asked, Decision, Holding
from tasks.authority.wording import first_line


def grounds(asked: Asked, held: Holding) -> Iterator[Decision]:
    """Return what one post gives for one signature; at least one decision, allowing or refusing."""
    case = _Grounds(asked, held)
    if case.post.rank == "head":
        yield case.as_head()
    elif case.post.rank == "deputy":
        yield case.for_head()
    elif case.post.rank == "unit-head":
        yield case.by_order()
    elif case.post.rank == "unit-deputy":
        yield case.by_order_for_unit_head()
    if case.post.rank in ("unit-head", "civil-servant") or case.has("TUQ."):
        yield case.by_authorisation()


class _Grounds(Case):
    """The grounds of each rank."""

    def as_head(self) -> Decision:
        """In own right, or for the collective; `Q.` where the post is held by acting in it."""
        if two := self.two(self.post):
            return two
        acting = self.held.manner == "acting"
        words = self.asked.regime.lines
        line = first_line("Q.", words, title=self.post.title) if acting else self.post.title.upper()
        return self.yes("Q." if acting else "own", [line])

    def for_head(self) -> Decision:
        """`KT.`: a deputy for the head, by an assignment of work, or in charge while there is no head."""
        head = self.records.post(self.post.under)
        if two := self.two(head):
            return two
        lines = [self.line("KT.", head), self.post.title.upper()]
        heads = self.records.holders(head.code, self.asked.moment)
        if any(h.staff == self.asked.staff for h in heads):
            said = f"{self.asked.staff} acts as {head.title} and does not sign for themselves."
            return self.no("AUTH-01", said, "The signature is given as Q.")
        if not heads and self.held.manner == "in-charge":
            return self.yes("KT.", lines)
        if not heads:
            return self.vacant(head)
        if self.has("own") and not self.collective:
            mandate, refusal = self.mandate("own", head)
            if mandate is not None:
                warning = f"AUTH-02: “{lines[-1]}” stands alone; in full it is “{' / '.join(lines)}”"
                return self.yes("own", lines[-1:], (mandate,), warning)
        mandate, refusal = self.mandate("KT.", head)
        return refusal or self.yes("KT.", lines, (mandate,) if mandate else ())

    def by_order(self) -> Decision:
        """`TL.`: the head of a unit by the head's order, which the working regulation must provide for."""
        head = self.records.post(self.post.under)
        if no := self.two(self.post) or self.two(head) or self.unanswered(head):
            return no
        mandate, refusal = self.mandate("TL.", head)
        lines = [self.line("TL.", head), self.post.title.upper()]
        return refusal or self.yes("TL.", lines, (mandate,) if mandate else ())

    def by_order_for_unit_head(self) -> Decision:
        """`TL.` and `KT.`: a unit's deputy for its head, who has the order, by an assignment of the unit's head."""
        unit = self.records.post(self.post.under)
        head = self.records.post(unit.under)
        if no := self.two(unit) or self.two(head) or self.unanswered(head) or self.unanswered(unit):
            return no
        order, refusal = self.mandate("TL.", head, to_post=unit)
        if refusal or order is None:
            return refusal or self.no("AUTH-01", "there is no order.", "")
        assignment, refusal = self.mandate("KT.", unit)
        lines = [self.line("TL.", head), self.line("KT.", unit), self.post.title.upper()]
        return refusal or self.yes("TL. KT.", lines, (order, assignment) if assignment else ())

    def by_authorisation(self) -> Decision:
        """`TUQ.`: by a written authorisation of the head, limited in time and content, never passed on."""
        head = next((p for p in self.records.posts if p.rank == "head" and p.code == self.authoriser()), None)
        mandate, refusal = self.mandate("TUQ.", head)
        if refusal or mandate is None:
            return refusal or self.no("AUTH-01", "there is no authorisation.", "")
        if no := self.lacks_form(mandate) or self.lacks_rank(mandate) or self.giver_left(mandate):
            return no
        giver = self.records.post(mandate.giver_post)
        rule = "CERT-08" if self.post.rank == "civil-servant" else "AUTH-01"
        return self.yes("TUQ.", [self.line("TUQ.", giver), self.post.title.upper()], (mandate,), rule=rule)
