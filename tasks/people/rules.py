"""
Who may do what: the one table of acts. What is not in it is refused to everybody.

A role is held at an office (or at every office) and for a procedure (or for every procedure). An act names
the roles that may do it; the first one that the person holds there is the one that the history names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from tasks.dossier.offices import Role

#: Stands for every office, or for every procedure.
EVERY = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Which roles may do an act, and whether it is about a dossier of one procedure."""

    roles: tuple[Role, ...]
    #: Whether a role for one procedure is enough when the act is about a dossier of that procedure.
    by_procedure: bool = True
    #: Whether the program does it by itself too.
    by_itself: bool = False
    #: Whether it only looks: who did is kept, and it goes on while the system is being maintained (OPS-01).
    reads: bool = False
    #: Whether it goes on in maintenance although it changes something: what cannot wait, and what ends it.
    in_maintenance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One role that a person holds today: at which office, for which procedure."""

    role: str
    office: str = EVERY
    procedure: str = EVERY


_COUNTER = Act(roles=("clerk",))
_BOOKING = Act(roles=("clerk", "portal"))
_OFFICIAL = Act(roles=("official",))
_READING = Act(roles=("clerk", "official", "supervisor", "auditor"), reads=True)
_RUNNING = Act(roles=("clerk", "supervisor"))
_ROUND = Act(roles=("clerk",), by_procedure=False)
_ROUND_OFFICIAL = Act(roles=("official",), by_procedure=False)
_ROUND_READING = Act(roles=("clerk", "official", "supervisor", "auditor"), by_procedure=False, reads=True)
_EXCHANGE = Act(roles=("clerk",), by_procedure=False)
_EXCHANGE_RUNNING = Act(roles=("clerk", "supervisor"), by_procedure=False)
_EXCHANGE_READING = Act(roles=("clerk", "official", "supervisor", "auditor"), by_procedure=False, reads=True)
_REPORT_READING = Act(roles=("supervisor", "official", "auditor"), by_procedure=False, reads=True)
_PEOPLE = Act(roles=("administrator",), by_procedure=False, in_maintenance=True)
_OFFICES = Act(roles=("administrator",), by_procedure=False)
_OFFICES_READ = Act(roles=("administrator",), by_procedure=False, reads=True)
#: What schedules do by themselves, typed by hand: it changes something, or no more than what was found.
_OPERATOR = Act(roles=("administrator", "supervisor"), by_procedure=False)
#: A release takes over while nobody else begins anything, so maintenance does not keep it from doing so.
_DEPLOYING = Act(roles=("administrator",), by_procedure=False, in_maintenance=True)
_OPERATOR_LOOKS = Act(roles=("administrator", "supervisor"), by_procedure=False, in_maintenance=True)
_CERTIFICATE = Act(roles=("administrator", "supervisor"), by_procedure=False)
_CERTIFICATES_READ = Act(
    roles=("administrator", "supervisor", "auditor", "official"), by_procedure=False, reads=True
)
_AUTHORITY = Act(roles=("supervisor", "administrator"), by_procedure=False)
_AUTHORITY_READ = Act(
    roles=("clerk", "official", "supervisor", "administrator", "auditor"), by_procedure=False, reads=True
)

#: Every act that a person can do, by the word of its command.
ACTS: Mapping[str, Act] = {
    "book": _BOOKING,
    "move": _BOOKING,
    "cancel": _BOOKING,
    "receive": _COUNTER,
    "order check": _COUNTER,
    "order place": _COUNTER,
    "order list": _READING,
    "supply": _COUNTER,
    "pay": _COUNTER,
    "examine": _COUNTER,
    "correct": _COUNTER,
    "decline": _COUNTER,
    "ask": _COUNTER,
    "withdraw": _COUNTER,
    "stop": _COUNTER,
    "resume": _COUNTER,
    "postpone": Act(roles=("supervisor", "clerk")),
    "give-back": Act(roles=("supervisor", "official")),
    "board": _READING,
    "route drop": Act(roles=("supervisor",)),
    "sign": _OFFICIAL,
    "leave-out": _OFFICIAL,
    "signature": _READING,
    "post list": _AUTHORITY_READ,
    "post give": _AUTHORITY,
    "post end": _AUTHORITY,
    "mandate list": _AUTHORITY_READ,
    "mandate give": _AUTHORITY,
    "mandate revoke": _AUTHORITY,
    "mandate check": _AUTHORITY_READ,
    "seal hand-over": _AUTHORITY,
    "hand-over": _COUNTER,
    "redirect": _COUNTER,
    "confirm": _COUNTER,
    "resend": Act(roles=("clerk", "supervisor")),
    "findings": Act(roles=("supervisor", "auditor"), reads=True),
    "repair": Act(roles=("supervisor",)),
    "erase": Act(roles=("supervisor",), by_itself=True),
    "withdraw-result": _OFFICIAL,
    "correction list": _READING,
    "correction approve": _OFFICIAL,
    "correction refuse": _OFFICIAL,
    "archive": Act(roles=("clerk", "supervisor"), by_itself=True),
    "retry": _RUNNING,
    "no-shows": _OPERATOR,
    "project": _OPERATOR_LOOKS,
    "probe": _OPERATOR_LOOKS,
    "exchange post": Act(roles=("clerk", "supervisor", "administrator"), by_procedure=False),
    "history checkpoint": _OPERATOR_LOOKS,
    "history export": Act(roles=("administrator", "supervisor", "auditor"), by_procedure=False, reads=True),
    "standing make": _OPERATOR,
    "reconcile": _OPERATOR_LOOKS,
    "fixity": _OPERATOR_LOOKS,
    "causes": Act(roles=("clerk", "official", "supervisor", "administrator", "auditor"), reads=True),
    "release": Act(roles=("supervisor", "administrator"), in_maintenance=True),
    "maintenance on": _PEOPLE,
    "maintenance off": _PEOPLE,
    "readings": Act(roles=("supervisor", "auditor"), by_procedure=False, reads=True),
    "batch run": Act(roles=("supervisor",)),
    "batch retry": Act(roles=("supervisor",)),
    "batch list": Act(roles=("clerk", "official", "supervisor", "auditor"), by_procedure=False, reads=True),
    "batch show": Act(roles=("clerk", "official", "supervisor", "auditor"), by_procedure=False, reads=True),
    "show": _READING,
    "show --applicant": _READING,
    "paper": _READING,
    "document": _READING,
    "evidence": _READING,
    "hold place": Act(roles=("supervisor",)),
    "hold release": Act(roles=("supervisor",)),
    "destruction list": Act(roles=("clerk", "supervisor"), by_procedure=False, reads=True),
    "destruction approve": Act(roles=("supervisor",), by_procedure=False),
    "destruction carry-out": Act(roles=("clerk", "supervisor"), by_procedure=False),
    "list": _READING,
    "results": _READING,
    "evidence-calendar": _READING,
    "register show": _READING,
    "register pdf": Act(roles=("clerk", "official", "supervisor", "auditor"), by_procedure=False, reads=True),
    "register lock": _ROUND_OFFICIAL,
    "register sign": _ROUND_OFFICIAL,
    "registration open": _ROUND_OFFICIAL,
    "registration extend": _ROUND_OFFICIAL,
    "registration consolidate": _ROUND_OFFICIAL,
    "registration sign": _ROUND_OFFICIAL,
    "registration take-over": _ROUND_OFFICIAL,
    "registration send": _ROUND,
    "registration issued": _ROUND,
    "registration export": Act(roles=("clerk", "official"), by_procedure=False, reads=True),
    "registration lists": _ROUND_READING,
    "registration unit": _ROUND,
    "registration units": _ROUND,
    "registration status": _ROUND_READING,
    "registration reminders": Act(roles=("clerk",), by_procedure=False, reads=True),
    "registration import": _ROUND,
    "registration enter": _ROUND,
    "registration submit": _ROUND,
    "registration confirm": _ROUND,
    "registration reject": _ROUND,
    "registration rows": Act(roles=("clerk",), by_procedure=False, reads=True),
    "registration erase": Act(roles=("supervisor",), by_procedure=False),
    "exchange send": Act(roles=("clerk",), by_itself=True),
    "exchange accept": _EXCHANGE,
    "exchange return": _EXCHANGE,
    "exchange progress": _EXCHANGE,
    "exchange confirm": Act(roles=("supervisor", "official"), by_procedure=False),
    "exchange recall": _EXCHANGE_RUNNING,
    "exchange resend": _EXCHANGE_RUNNING,
    "exchange inbox": _EXCHANGE_READING,
    "exchange show": _EXCHANGE_READING,
    "exchange report": Act(roles=("supervisor", "official", "auditor"), by_procedure=False, reads=True),
    "exchange organisations": Act(roles=("administrator", "supervisor"), by_procedure=False),
    "report make": Act(roles=("supervisor", "official"), by_procedure=False, by_itself=True),
    "report list": _REPORT_READING,
    "report show": _REPORT_READING,
    "report preview": _REPORT_READING,
    "report check": _REPORT_READING,
    "certificate request": _CERTIFICATE,
    "certificate renew": _CERTIFICATE,
    "certificate change": _CERTIFICATE,
    "certificate reject": _CERTIFICATE,
    "certificate issue": _CERTIFICATE,
    "certificate hand-over": _CERTIFICATE,
    # An official may do it at their own desk, where their token is.
    "certificate register": Act(roles=("administrator", "supervisor", "official"), by_procedure=False),
    "certificate activate": _CERTIFICATE,
    # Neither can wait: who has lost a token must be able to say so at any time.
    "certificate suspend": Act(
        roles=("administrator", "supervisor"), by_procedure=False, in_maintenance=True
    ),
    "certificate revoke": Act(roles=("administrator", "supervisor"), by_procedure=False, in_maintenance=True),
    "certificate impact": _CERTIFICATE,
    "certificate list": _CERTIFICATES_READ,
    "certificate show": _CERTIFICATES_READ,
    "token list": _CERTIFICATES_READ,
    "token hand-over": _CERTIFICATE,
    "person list": Act(roles=("administrator", "supervisor", "auditor"), by_procedure=False, reads=True),
    "person enrol": _PEOPLE,
    "person grant": _PEOPLE,
    "person revoke": _PEOPLE,
    "person leave": _PEOPLE,
    "person unlock": _PEOPLE,
    "office load": _OFFICES,
    "procedure load": _OFFICES,
    "procedure list": _OFFICES_READ,
    "procedure diff": _OFFICES_READ,
    "procedure export": _OFFICES_READ,
    "procedure import": _OFFICES,
    "lives record": _OFFICES_READ,
    "deploy": _DEPLOYING,
    "drain": _DEPLOYING,
}

#: Commands that ask for no login, and what they need instead. Whoever has a machine's credentials can do the same
#: without the command.
WITHOUT_LOGIN: Mapping[str, str] = {
    "login": "the password, or the token and its PIN",
    "logout": "nothing: it only ends",
    "whoami": "nothing: it says who is there",
    "password": "the enrolment code, or the present password",
    "status": "nothing: it is public",
    "doctor": "a worker's credentials: it must answer while the database does not, and shows numbers and parts only",
    "metrics": "a worker's credentials: a machine asks, and gets numbers only",
    "verify": "nothing: it opens no database",
    "office list": "nothing: it is public",
    "procedure check": "nothing: it reads a file",
    "lives check": "nothing: it reads a file",
    "lives accept": "nothing: it writes a file",
    "registration forms": "nothing: it is public",
    "registration template": "nothing: it is an empty form",
    "work": "a worker's credentials: it carries on what people asked for, by itself",
    "batch work": "a worker's credentials: the same, for one batch",
    "history key": "nothing personal: it is a public key, for whoever checks",
    "standing write": "nothing: it is public",
    "seal original": "the PIN file of the agency's seal, where its token is; what is sealed was signed by a person",
    "register seal": "the PIN file of the agency's seal, where its token is; what is sealed was signed by a person",
    "report seal": "the PIN file of the agency's seal, where its token is",
    "registration seal": "the PIN file of the agency's seal, where its token is; what is sealed was signed by a person",
    "migrate": "the password of the database's administrator; there may be no people yet, or no database",
    "desk make": "the password of the database's administrator; there may be no people yet, or no database",
    "desk end": "the password of the database's administrator; there may be no people yet, or no database",
    "backup": "the password of the database's administrator; there may be no people yet, or no database",
    "restore": "the password of the database's administrator; there may be no people yet, or no database",
    "demo": "the embedded stack, whose invented office it opens",
    "bench": "the embedded stack, whose invented office it opens",
    "bench-latency": "the embedded stack, whose invented office it opens",
}


def fitting(act: str, held: Iterable[Held]) -> list[Held]:
    """
    Return those of a person's roles that allow an act somewhere, in the order in which the act names them.

    >>> [h.office for h in fitting("pay", [Held(role="clerk", office="H49.21"), Held(role="auditor")])]
    ['H49.21']
    >>> fitting("fly", [Held(role="administrator")])
    []
    """
    rule = ACTS.get(act)
    if rule is None:
        return []
    roles = [h for h in held if h.role in rule.roles and (rule.by_procedure or h.procedure == EVERY)]
    return sorted(roles, key=lambda h: rule.roles.index(h.role))


def covers(held: Held, office: str, procedure: str) -> bool:
    """
    Whether a role holds at an office for a procedure.

    >>> covers(Held(role="clerk", office="H49.21", procedure="e-copy"), "H49.21", "e-copy")
    True
    >>> covers(Held(role="clerk", office="H49.21", procedure="e-copy"), "H49.21", EVERY)
    False
    """
    return held.office in (EVERY, office) and held.procedure in (EVERY, procedure)


def role_for(act: str, held: Iterable[Held], *, office: str, procedure: str = EVERY) -> str | None:
    """
    Return the role by which an act may be done at an office about a procedure, or `None`: it may not (AUTH-06).

    >>> role_for("withdraw", [Held(role="clerk", office="H49.21")], office="H49.21", procedure="e-copy")
    'clerk'
    >>> role_for("withdraw", [Held(role="clerk", office="H49.21")], office="H49.22", procedure="e-copy")
    >>> role_for("sign", [Held(role="clerk", office="H49.21")], office="H49.21", procedure="e-copy")
    """
    return next((h.role for h in fitting(act, held) if covers(h, office, procedure)), None)


#: For how long a desk where a person logged in counts as one of theirs, and within how long wrong passwords of
#: everybody are counted together.
KNOWN_DESK = timedelta(days=30)
TOGETHER = timedelta(minutes=10)

#: Seconds to wait after so many wrong passwords in a row; the last one holds for all that follow.
_DELAYS = (0, 0, 0, 1, 2, 4, 8, 16, 32, 60)


def delay_after(failures: int) -> int:
    """
    Return the seconds in which a person cannot log in after wrong passwords in a row.

    >>> [delay_after(n) for n in (0, 2, 3, 5, 50)]
    [0, 0, 1, 4, 60]
    """
    return _DELAYS[min(failures, len(_DELAYS) - 1)]
