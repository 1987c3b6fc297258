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


class SignatureStep(_Data):
    """One signature: which field, by whom, and in which capacities it may be given."""

    field: str
    role: Literal["official", "agency"]
    capacities: tuple[str, ...] = ()


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


class Evidence(_Data):
    """The PAdES level that a document needs before it is released, and before it is archived."""

    release: Literal["B", "T", "LT", "LTA"]
    archive: Literal["B", "T", "LT", "LTA"]


class Scan(_Data):
    """What a scan must be (SIG-08)."""

    min_dpi: int
    max_pages: int
    rule: str


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
    evidence: Evidence
    scan: Scan
    supplements: int = Field(ge=0)

    @property
    def seal_field(self) -> str:
        """The field of the agency's signature, which every route ends with (SIG-12)."""
        return self.signature_steps[-1].field

    @property
    def official_fields(self) -> tuple[str, ...]:
        """The fields of the officials' signatures, in order."""
        return tuple(step.field for step in self.signature_steps if step.role == "official")


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
    roles = [step.role for step in procedure.signature_steps]
    if roles.count("agency") != 1 or roles[-1] != "agency":
        raise Forbidden(
            f"{path.name} does not end with the one signature of the agency.",
            rule="SIG-12",
            way_out="Put the officials' steps first and the agency's step last.",
        )
    if procedure.kind == "certification" and roles.count("official") != 1:
        raise Forbidden(
            f"{path.name} asks for {roles.count('official')} officials; a certified copy has room for one.",
            rule="SIG-12",
            way_out="Name one official's step before the agency's.",
        )
    return procedure


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
