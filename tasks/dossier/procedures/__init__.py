"""
Procedure definitions: what an office offers, as data.

A definition is a YAML file `<code>.v<version>.yaml`; `schema.json` beside it is made from the classes
here. A dossier keeps the version that it was opened under (GEN-02), so a file is never edited once an
office has used it: a change is a new version with its own effective date.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, time
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.errors import Forbidden
from tasks.dossier.deadlines import TimeLimit

Channel = Literal["paper", "email", "portal"]


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ChecklistItem(_Data):
    """One thing that the applicant brings."""

    id: str
    name: str
    required: bool


class Register(_Data):
    """The register that certification numbers come from (CERT-22, CERT-24)."""

    symbol: str
    title: str


#: What a signature is for, which decides what it shows: an official's approval (SIG-01), the seal of an issued
#: document (SIG-02), the agency's mark on a copy (SIG-07), the centre's block on another agency's result (SIG-19), the
#: agency's mark on an attachment in a file of its own (SIG-06).
Purpose = Literal["approve", "issue", "copy", "result", "attachment"]

#: Where the agency's field lies: over the last official's image, or in a corner of the first page.
Place = Literal["block", "top-right", "top-left", "bottom-right", "bottom-left"]


class SignatureStep(_Data):
    """One signature: which field, by whom, in which capacities, what for, and whether it may be dropped."""

    field: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    role: Literal["official", "agency"]
    capacities: tuple[str, ...] = ()
    #: Whether a supervisor may drop the step for one original before anybody has signed it.
    optional: bool = False
    #: What the signature is for; without it an official approves, and the agency issues.
    purpose: Purpose | None = None
    #: Where the field lies; without it where the appearance profile says (`tasks/forms/appearances`).
    place: Place | None = None

    @property
    def shows(self) -> Purpose:
        """Return what the signature is for."""
        return self.purpose or ("approve" if self.role == "official" else "issue")


class Fee(_Data):
    """What a copy costs, in đồng (CERT-31): by page of the original, with a cap a copy."""

    first_pages: int = Field(ge=0)
    first_price: int = Field(ge=0)
    later_price: int = Field(ge=0)
    cap: int = Field(ge=0)


class Limit(_Data):
    """The time limit as the file writes it (CERT-17, CERT-18)."""

    working_days: int = Field(ge=0)
    same_day_until: time | None
    extension_days: int = Field(ge=0)

    def rule(self) -> TimeLimit:
        """Return the limit as the deadline rules take it."""
        return TimeLimit(
            working_days=self.working_days,
            same_day_until=self.same_day_until,
            extension_days=self.extension_days,
        )


class RefusedChannel(_Data):
    """A channel that the law does not allow for this procedure, and why."""

    rule: str
    reason: str


class Channels(_Data):
    """How a result may go back to the applicant (DOS-22, DOS-23, CERT-05)."""

    offered: tuple[Channel, ...]
    choose: Literal["one", "several"]
    refused: dict[str, RefusedChannel] = {}


class Retention(_Data):
    """How long the archive keeps the package: years after the year the work ends, or for ever."""

    years: int | None = Field(ge=1)
    rule: str


class Erasing(_Data):
    """When contact data, what was said in words and working files go: days after the dossier's end [M]."""

    after_days: int = Field(default=365, ge=0)
    rule: str = "PRIVATE-02"


#: A PAdES baseline level, each holding those before it.
Level = Literal["B", "T", "LT", "LTA"]


class Evidence(_Data):
    """The PAdES level that a document needs before it is released, and before it is archived, and how it gets there."""

    release: Level
    archive: Level
    #: Whether each signature brings a time-stamp of its own, or one time-stamp serves for the whole document.
    shape: Literal["signature", "document"] = "document"

    @property
    def stamps_each_signature(self) -> bool:
        """Whether signatures are time-stamped one by one when they are made."""
        return self.shape == "signature" and (self.release, self.archive) != ("B", "B")


class Scan(_Data):
    """What a scan must be (SIG-08)."""

    min_dpi: int
    max_pages: int
    rule: str


#: The papers that an office writes about a dossier.
PaperKind = Literal["receipt", "declined", "supplement", "stopped", "postponed", "result-withdrawn"]


class Procedure(_Data):
    """One version of one procedure."""

    code: str
    version: int = Field(ge=1)
    effective_from: date
    procedure_code: str
    name: str
    kind: Literal["certification", "return"]
    checklist: tuple[ChecklistItem, ...]
    register_: Register | None = Field(alias="register")
    signature_steps: tuple[SignatureStep, ...]
    fee: Fee | None
    time_limit: Limit
    channels: Channels
    publication: Literal["never", "unless-confidential"]
    retention: Retention
    erasure: Erasing = Erasing()
    evidence: Evidence
    scan: Scan
    supplements: int = Field(ge=0)
    #: The document has no signatory, so the agency signs it alone (SIG-16).
    no_signatory: bool = False
    #: What a copy that the agency marks is called on it (SIG-07).
    copy_form: Literal["SAO Y", "SAO LỤC", "TRÍCH SAO"] = "SAO Y"
    #: Whether another agency's result whose signatures rest on SHA-1 is refused, or returned and flagged.
    weak_signatures: Literal["refuse", "flag"] = "refuse"
    #: How the agency signs attachments in files of their own (SIG-06); without it none are taken in.
    attachments: SignatureStep | None = None
    #: The papers of the office that carry the agency's signature before they are sent (DOS-11).
    sealed_papers: tuple[PaperKind, ...] = ()
    #: The agencies that every released result is sent to over the axis (EXC-03).
    exchanged_with: tuple[str, ...] = ()

    @property
    def seal_field(self) -> str:
        """The field of the agency's signature, which every route ends with (SIG-12)."""
        return self.signature_steps[-1].field


#: The definitions that come with the program.
SHIPPED = Path(__file__).parent


def read_procedure(path: Path) -> Procedure:
    """Return the definition in a file; refuses one that breaks the schema or signs in the wrong order."""
    try:
        procedure = Procedure.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise Forbidden(
            f"{path.name} is not a procedure definition: {error}.",
            rule="GEN-02",
            way_out="Correct the file; schema.json beside the shipped definitions says what belongs in it.",
        ) from error
    if fault := route_fault(procedure):
        raise Forbidden(f"{path.name} {fault[1]}.", rule=fault[0], way_out=fault[2])
    return procedure


#: A page has room for so many officials.
MOST_OFFICIALS = 3


def route_fault(procedure: Procedure) -> tuple[str, str, str] | None:
    """Return what is wrong with a procedure's route: the rule, the fault, and the way out; `None` if nothing is."""
    steps = procedure.signature_steps
    roles = [step.role for step in steps]
    officials = roles.count("official")
    if roles.count("agency") != 1 or roles[-1] != "agency":
        way_out = "Put the officials' steps first and the agency's step last."
        return "SIG-12", "does not end with the one signature of the agency", way_out
    if len({step.field for step in steps}) != len(steps):
        return "PKI-08", "names a field twice", "Give every step a field of its own."
    if officials > MOST_OFFICIALS:
        way_out = f"Name at most {MOST_OFFICIALS} officials."
        return "SIG-12", f"asks for {officials} officials; a page has room for {MOST_OFFICIALS}", way_out
    if (step := next((s for s in steps if not _purpose_fits(s, procedure)), None)) is not None:
        way_out = "Officials approve; the agency issues or marks a copy, and marks another agency's result."
        return "SIG-12", f"lets {step.field} be signed to {step.shows} as {step.role}", way_out
    if procedure.attachments is not None and not _attachments_fit(procedure):
        way_out = (
            "Give attachments one step of the agency with the purpose attachment, where results are returned."
        )
        return "SIG-06", "lets attachments be signed otherwise than by the agency alone", way_out
    if any(s.optional for s in steps if s.role == "agency"):
        return "SIG-12", "lets the agency's signature be dropped", "Only an official's step is optional."
    return _alone_fault(procedure, officials)


def _purpose_fits(step: SignatureStep, procedure: Procedure) -> bool:
    """Whether what a step is for is its role's to give in such a procedure."""
    if step.role == "official":
        return step.shows == "approve" and step.place in (None, "block")
    if procedure.kind == "return":
        return step.purpose in (None, "result")
    return step.shows in ("issue", "copy")


def _attachments_fit(procedure: Procedure) -> bool:
    """Whether attachments are signed by the agency as attachments; a copy of a citizen's papers has none."""
    step = procedure.attachments
    return (
        step is not None
        and procedure.kind == "return"
        and (step.role, step.purpose, step.optional) == ("agency", "attachment", False)
    )


def _alone_fault(procedure: Procedure, officials: int) -> tuple[str, str, str] | None:
    """Return what is wrong with who signs beside the agency (SIG-10, SIG-16)."""
    if procedure.kind == "return":
        if officials:
            way_out = "Name the centre's step only; its officials do not sign another agency's result."
            return "SIG-10", "lets officials sign again what another agency has signed", way_out
        return None
    if procedure.no_signatory and officials:
        return "SIG-16", "has no signatory and names one", "Leave no_signatory out, or the officials."
    always = [s for s in procedure.signature_steps if s.role == "official" and not s.optional]
    if not always and not procedure.no_signatory and procedure.signature_steps[-1].shows != "copy":
        way_out = "Name an official whose step is not optional, or say no_signatory: true where that is so."
        return "SIG-16", "may leave the agency's signature alone on a document that has a signatory", way_out
    return None


def check_channels(
    procedure: Procedure, wanted: Collection[str], *, email: str | None, account: str | None
) -> tuple[Channel, ...]:
    """
    Return the channels that a result goes back by, or refuse what the procedure does not allow.

    Nothing wanted means the portal account if there is one, else e-mail (DOS-23). E-mail needs an
    address and the portal an account (DOS-22).
    """
    if not wanted:
        wanted = [c for c in ("portal", "email") if c in procedure.channels.offered]
        wanted = [c for c in wanted if (account if c == "portal" else email)][:1]
    for channel in wanted:
        _check_channel(procedure, channel, email=email, account=account)
    if not wanted or (procedure.channels.choose == "one" and len(wanted) > 1):
        raise Forbidden(
            f"{procedure.name} goes back by {procedure.channels.choose} of "
            f"{', '.join(procedure.channels.offered)}; asked for: {', '.join(wanted) or 'nothing usable'}.",
            rule="DOS-22",
            way_out="Name a channel that the applicant can be reached by.",
        )
    return tuple(c for c in procedure.channels.offered if c in wanted)


def _check_channel(procedure: Procedure, channel: str, *, email: str | None, account: str | None) -> None:
    """Refuse one channel that is not offered or lacks its address."""
    offered = ", ".join(procedure.channels.offered)
    if refused := procedure.channels.refused.get(channel):
        raise Forbidden(
            f"{procedure.name} is not returned by {channel}: {refused.reason}.",
            rule=refused.rule,
            way_out=f"Choose one of: {offered}.",
        )
    if channel not in procedure.channels.offered:
        raise Forbidden(
            f"{procedure.name} is not returned by {channel}.",
            rule="DOS-22",
            way_out=f"Choose one of: {offered}.",
        )
    missing = {"email": not email and "an e-mail address", "portal": not account and "a portal account"}
    if lacks := missing.get(channel):
        raise Forbidden(
            f"a result by {channel} needs {lacks}.",
            rule="DOS-22",
            way_out=f"Give {lacks}, or choose another channel.",
        )
