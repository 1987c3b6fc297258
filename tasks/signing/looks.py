"""What a signature will show: an image, lines of text, or both, by the profile that its document was frozen under."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from infra.pdf.lettering import Lettering, lettering
from tasks.dossier.offices import OfficeData
from tasks.dossier.procedures import SignatureStep
from tasks.dossier.tables import DocumentRow
from tasks.forms.appearances import Inscription, inscription, profile_called

_POINTS = 72 / 25.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one signature shows."""

    text: Inscription
    width: float  # mm, that its lines may take
    height: float  # mm

    def image(self, image: bytes) -> bytes | None:
        """Return the signer's image if it is shown."""
        return image if self.text.look.image else None

    def lettering(self, at: datetime) -> Lettering | None:
        """Return the lines as of a signing time (Hà Nội's), if there are any; refuses what does not fit."""
        lines = self.text.lines(at)
        if not lines:
            return None
        size = self.text.look.size
        return lettering(lines, size=size, width=self.width * _POINTS, height=self.height * _POINTS)


def shown_by(
    step: SignatureStep, frozen: DocumentRow, office: OfficeData, *, form: str, number: str
) -> Shown:
    """Return what a step's signature shows on a document."""
    held = frozen.facts["look"]
    look = profile_called(held["profile"]).look(step.shows)
    return Shown(
        text=inscription(look, office, form=form, number=number), width=held["width"], height=held["height"]
    )
