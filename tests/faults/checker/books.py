"""accepted = finished + declined + waiting for a named cause: nothing else, and nothing left over."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.faults.checker.evidence import Evidence

FINISHED = ("Archived", "Withdrawn", "Cancelled", "NoShow")
#: Stages at which a person has the next word, and who.
PERSONS = {
    "Booked": "the applicant comes",
    "SupplementAsked": "the applicant's supplement",
    "PaymentDue": "the fee",
    "AwaitingSignature": "the official",
    "ReturnedToExaminer": "the examiner",
    "Stopped": "the clerk",
}
#: After which acts that were acknowledged an entry must be there, however the dossier went on.
ENTRIES = {
    "cancel": "appointment:cancelled",
    "withdraw": "dossier:withdrawn",
    "ask": "supplement:asked",
    "supply": "supplement:received",
    "stop": "dossier:stopped",
    "resume": "dossier:resumed",
    "pay": "fee:paid",
    "archive": "archive:asked",
    "leave-out": "original:left-out",
    "receive": "dossier:received",
}


def balance(evidence: Evidence) -> dict[str, Any]:
    """Return the four figures and the causes; blames what is lost."""
    accepted = {code for line in evidence.told("opened") for code in line["codes"]}
    known = set(evidence.dossiers)
    for code in sorted(accepted - known):
        evidence.blame("BOOKS", f"{code} was accepted and is gone")
    figures: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    lost = len(accepted - known)
    for code, dossier in sorted(evidence.dossiers.items()):
        cause = cause_of(evidence, dossier)
        if dossier["stage"] in FINISHED and cause is None:
            figures["finished"] += 1
        elif dossier["stage"] == "Declined" and cause is None:
            figures["declined"] += 1
        elif cause:
            figures["waiting"] += 1
            causes[cause] += 1
        else:
            lost += 1
            evidence.blame(
                "BOOKS", f"{code} stands at {dossier['stage']} and waits for nothing that has a name"
            )
    return {
        "accepted": len(accepted | known),
        "finished": figures["finished"],
        "declined": figures["declined"],
        "waiting": figures["waiting"],
        "lost": lost,
        "waiting_for": dict(causes),
    }


def cause_of(evidence: Evidence, dossier: dict[str, Any]) -> str | None:
    """
    Return what a dossier waits for; `None` for nothing: at the end of its life that is right, else it is lost.

    An errand that is asked for, that no error holds up and that nobody is at is lost whatever the stage says.
    """
    code, stage, error = dossier["code"], dossier["stage"], dossier["last_error"]
    if error:
        kind = error.partition(":")[0] if error.startswith(("needs attention:", "broken:")) else "a service"
        if kind == "broken":
            evidence.blame("BROKEN", f"{code}: {error[:300]}")
        return (
            f"{kind}: {error.partition(':')[2].strip()[:60] or error[:60]}"
            if kind != "a service"
            else f"a service: {error[:60]}"
        )
    if dossier["asked"] > dossier["done"] and not dossier["later"]:
        return None if dossier["lease_owner"] is None or dossier["lapsed"] else "a worker is at it"
    if stage in FINISHED or stage == "Declined":
        return None
    if stage in PERSONS:
        return (
            PERSONS[stage] if stage != "AwaitingSignature" or _is_before_an_official(evidence, code) else None
        )
    if stage == "Signed":
        return _return_cause(evidence, code)
    if stage == "Returned" and not dossier["archive_asked"]:
        return "the night"
    return None


def _is_before_an_official(evidence: Evidence, code: str) -> bool:
    """Whether something of a dossier is really ready to be signed."""
    query = (
        "select 1 from original o join document d on d.dossier = o.dossier and d.ordinal = o.ordinal and "
        "d.revision = o.revision and d.kind = 'frozen' where o.dossier = %s and o.standing = 'certified'"
    )
    return bool(evidence.rows(query, code))


def _return_cause(evidence: Evidence, code: str) -> str | None:
    """Return what keeps a signed result from being returned."""
    legs = evidence.rows("select channel, state, ended_at from delivery_leg where dossier = %s", code)
    for leg in legs:
        if leg["ended_at"] is None and leg["state"] in ("deferred", "ambiguous"):
            return f"{leg['channel']} asked for patience"
        if leg["ended_at"] is None and leg["state"] == "at-counter":
            return "the applicant collects the paper"
    tasks = evidence.rows("select 1 from counter_task where dossier = %s and ended_at is null", code)
    return "a clerk's counter task" if tasks else None


def acknowledged(evidence: Evidence) -> int:
    """Check that every act that was acknowledged is in the history, and that stage and history agree; return how many."""
    events: dict[str, Counter[str]] = {}
    last: dict[str, str] = {}
    for entry in evidence.entries:
        if code := entry.get("dossier"):
            events.setdefault(code, Counter())[entry["event"]] += 1
            last[code] = entry.get("to") or last.get(code, "")
    checked = 0
    for line in evidence.told("act"):
        wanted = ENTRIES.get(line["verb"])
        if line["code"] == 0 and wanted:
            checked += 1
            for code in line["codes"]:
                if not events.get(code, {}).get(wanted):
                    evidence.blame(
                        "ACKNOWLEDGED",
                        f"{code}: “{line['verb']}” was acknowledged, and no {wanted} is in the history",
                    )
    for code, dossier in evidence.dossiers.items():
        if last.get(code) != dossier["stage"]:
            evidence.blame(
                "HISTORY", f"{code} stands at {dossier['stage']}, its history ends at {last.get(code)}"
            )
        for once in (
            "dossier:opened",
            "dossier:received",
            "dossier:archived",
            "result:returned",
            "dossier:archiving",
        ):
            if events.get(code, {}).get(once, 0) > 1:
                evidence.blame("TWICE", f"{code}: {once} is in the history {events[code][once]} times")
    return checked
