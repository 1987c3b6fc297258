"""What left the office: mails, deposits and reports; and the register of its numbers."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from email import message_from_bytes, policy
from typing import Any

from tests.faults.checker.evidence import CODE, Evidence

#: Faults of the mail server, and deaths, after which a message may honestly go out once more.
DOUBTFUL = ("deliver-but-450", "hang-after-data", "close-before-250")


def mails(evidence: Evidence) -> dict[str, Any]:
    """
    Check that every mail was owed, and count those that went out more than once (RFC 1047).

    Again is honest after an answer that was lost, or when the sender died with the answer; anything beyond is not.
    """
    index = evidence.root / "mail" / "index.jsonl"
    kept = [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []
    owed: Counter[str] = Counter()
    tries: Counter[str] = Counter()
    for entry in evidence.entries:
        event, code = entry["event"], entry.get("dossier")
        if code and event.startswith("leg:"):
            tries[code] += 1
    for row in evidence.rows("select dossier, kind, ordinal, occasion, state, attempts from notice"):
        owed[row["dossier"]] += 1
    legs = evidence.rows("select dossier, channel, errand from delivery_leg where channel = 'email'")
    for row in legs:
        owed[row["dossier"]] += 1 + row["errand"]
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for mail in kept:
        content = (evidence.root / "mail" / mail["file"]).read_bytes()
        subject = str(message_from_bytes(content, policy=policy.default)["Subject"])
        found = CODE.search(subject)
        if found is None or found.group() not in evidence.dossiers:
            evidence.blame("MAIL", f"{mail['file']} belongs to no dossier")
            continue
        seen[found.group()][mail["message_id"]] += 1
    again = 0
    for code, ids in seen.items():
        again += sum(n - 1 for n in ids.values())
        if len(ids) > owed[code]:
            evidence.blame("MAIL", f"{code} owed {owed[code]} messages and sent {len(ids)} different ones")
    deaths = len(evidence.told("died")) + len(
        [f for f in evidence.told("fault") if f.get("row") in ("F2", "F3", "F12")]
    )
    honest = sum(1 for mail in kept if mail["fault"] in DOUBTFUL) + deaths
    if again > honest:
        evidence.blame("MAIL", f"{again} mails went out again, where {honest} answers may have been lost")
    return {"mails": len(kept), "doubled": again}


def portal(evidence: Evidence) -> dict[str, int]:
    """Check that the portal holds each result once, and heard each status code once, in an order that DOS-06 knows."""
    deposits = [
        json.loads(file.read_text()) for file in (evidence.root / "portal" / "deposits").glob("*.json")
    ]
    for deposit, n in Counter(d["deposit_id"] for d in deposits).items():
        if n > 1:
            evidence.blame("PORTAL", f"deposit {deposit} is there {n} times")
    accounts = list((evidence.root / "portal" / "accounts").rglob("*.pdf"))
    if len(accounts) != len(deposits):
        evidence.blame("PORTAL", f"{len(accounts)} files in accounts, {len(deposits)} deposits")
    for place, n in Counter((d["account"], d["sha256"]) for d in deposits).items():
        if n > 1:
            evidence.blame("PORTAL", f"the same file lies in one account {n} times ({place[1][:12]})")
    reports: dict[str, dict[int, int]] = defaultdict(dict)
    for file in (evidence.root / "portal" / "reports").glob("*.json"):
        report = json.loads(file.read_text())
        reports[report["reference"]][report["sequence"]] = report["code"]
    for code, heard in reports.items():
        owed = {
            r["sequence"]: r["code"]
            for r in evidence.rows("select * from status_report where dossier = %s", code)
        }
        if any(owed.get(sequence) != said for sequence, said in heard.items()):
            evidence.blame("PORTAL", f"{code}: the portal heard {heard}, we owe {owed}")
    return {"deposits": len(deposits), "reports": sum(len(heard) for heard in reports.values())}


def register(evidence: Evidence) -> int:
    """Check that no number is missing, none there twice, and each has the end that its original has."""
    lines: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    query = "select r.*, o.standing from register_entry r join original o on o.dossier = r.dossier and o.ordinal = r.ordinal"
    rows = evidence.rows(query)
    for row in rows:
        lines[row["office"], row["year"], row["symbol"]].append(row["number"])
        right = {"valid": ("certified",), "declined": ("void",), "dropped": ("void",)}
        if row["state"] not in right.get(row["standing"], ("reserved", "certified")):
            evidence.blame(
                "REGISTER",
                f"{row['dossier']}/{row['ordinal']} is {row['standing']}, its number {row['state']}",
            )
    for book, numbers in lines.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            evidence.blame("REGISTER", f"{book}: {sorted(numbers)} is not 1 to {len(numbers)}")
    for row in evidence.rows("select * from register_book"):
        if row["last_number"] != len(lines[row["office"], row["year"], row["symbol"]]):
            evidence.blame("REGISTER", f"{row['office']}: the book ends at {row['last_number']}")
    return len(rows)
