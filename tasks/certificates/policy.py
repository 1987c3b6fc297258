"""What an installation asks of certificates, as data: the shipped policy, or a file of its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.errors import Forbidden

#: The policy that is shipped.
SHIPPED = Path(__file__).with_name("policy.yaml")


class _Data(BaseModel):
    """Checked data: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PersonSubject(_Data):
    """Which attributes of a subject name a person, the person's agency, and the identity number."""

    name: tuple[str, ...] = Field(min_length=1)
    unit: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    unit_needed: bool = True


class AgencySubject(_Data):
    """Which attributes of a subject name an agency."""

    name: tuple[str, ...] = Field(min_length=1)


class Subject(_Data):
    """Whose name stands where in a certificate's subject."""

    person: PersonSubject
    agency: AgencySubject


class KeyPolicy(_Data):
    """What is asked of a key on its token, beyond that nobody can read it."""

    sign_only: bool = False
    #: Number of the decision by which keys are accepted that were not made on their token.
    imported_keys_decision: str = ""


class CertificatePolicy(_Data):
    """Everything that may differ between offices and providers."""

    subject: Subject
    rsa_bits: int = Field(default=2048, ge=2048)
    hashes: frozenset[str]
    purposes: frozenset[str]
    key: KeyPolicy = KeyPolicy()
    days_left_at_registration: int = Field(ge=0)
    new_years: int = Field(gt=0)
    renewed_years: int = Field(gt=0)
    renewals: int = Field(ge=0)
    renewal_days_left: int = Field(ge=0)
    warning_days: tuple[int, ...]
    switch_over_days: int = Field(ge=0)
    revocation_working_days: int = Field(gt=0)


@cache
def read_policy(path: Path | None) -> CertificatePolicy:
    """Return the policy of a file, or the shipped one; refuses a file that breaks the schema."""
    chosen = path or SHIPPED
    try:
        return CertificatePolicy.model_validate(yaml.safe_load(chosen.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError, OSError) as error:
        raise Forbidden(
            f"{chosen.name} does not describe a policy for certificates: {error}.",
            rule="CER-10",
            way_out="Correct the file; docs/certificates.md shows a complete one.",
        ) from error
