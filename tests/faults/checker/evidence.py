"""Where the checker reads: the database, the store, the journal and the folders of one stack."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from minio import Minio
from psycopg.rows import dict_row


@dataclass
class Evidence:
    """One stack after a run, and what was found wrong with it."""

    root: Path
    wrong: list[str] = field(default_factory=list)

    def blame(self, rule: str, what: str) -> None:
        """Write down something that must not be."""
        self.wrong.append(f"{rule}: {what}")

    @cached_property
    def journal(self) -> list[dict[str, Any]]:
        """What the runner did and saw."""
        lines = (self.root / "faults" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the journal's lines of a kind."""
        return [line for line in self.journal if line["kind"] == kind]

    @cached_property
    def ports(self) -> dict[str, int]:
        """The ports that the stack chose."""
        return dict(json.loads((self.root / "stack.json").read_text(encoding="utf-8"))["ports"])

    def secret(self, name: str) -> str:
        """Return a secret of the stack."""
        return (self.root / "secrets" / name).read_text(encoding="utf-8").strip()

    def rows(self, query: str, *values: Any, database: str = "hoso") -> list[dict[str, Any]]:
        """Return rows as PostgreSQL's administrator sees them."""
        with psycopg.connect(
            host="127.0.0.1", port=self.ports["database"], user="postgres", password=self.secret("postgres"),
            dbname=database, row_factory=dict_row, autocommit=True,
        ) as connection:  # fmt: skip
            return list(connection.execute(query, values))  # type: ignore[call-overload]

    @cached_property
    def store(self) -> Minio:
        """The object store itself, past every proxy, with the rights of whoever made the buckets."""
        place = f"127.0.0.1:{self.ports['s3']}"
        return Minio(place, "provisioner", self.secret("s3_provisioner"), secure=False, region="us-east-1")

    def read(self, bucket: str, key: str, version: str | None = None) -> bytes:
        """Return one object."""
        answer = self.store.get_object(bucket, key, version_id=version)
        try:
            return bytes(answer.read())
        finally:
            answer.close()
            answer.release_conn()

    @cached_property
    def entries(self) -> list[dict[str, Any]]:
        """Every entry of the history, from its own bytes, in order."""
        rows = self.rows("select entry from history_entry order by position")
        return [json.loads(bytes(row["entry"])) for row in rows]

    @cached_property
    def dossiers(self) -> dict[str, dict[str, Any]]:
        """Every dossier, with what the outbox says of it."""
        query = (
            "select d.*, o.asked, o.done, o.last_error, o.lease_owner, o.lease_until < clock_timestamp() as lapsed, "
            "o.not_before > clock_timestamp() as later from dossier d left join outbox o on o.dossier = d.code"
        )
        return {row["code"]: row for row in self.rows(query)}

    @cached_property
    def logs(self) -> list[Path]:
        """Every log file of the stack and the workers."""
        return sorted((self.root / "logs").glob("*.log"))


#: A dossier's code as it is printed.
CODE = re.compile(r"H49\.\w+-\d{6}-\d{4}")
