"""A procedure in a version of a test's own, in force for as long as the test needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from infra.clock import HANOI
from tasks.dossier.procedures import SHIPPED, Procedure
from tasks.dossier.tables import ProcedureRow
from tests.world import World


@contextmanager
def another_version(world: World, file: str, **changes: object) -> Iterator[Procedure]:
    """Let dossiers that are opened within the block go by a changed copy of a shipped procedure (GEN-02).

    The copy is in force from today on, so it wins over every version that another test of this world has loaded.
    """
    body = yaml.safe_load((SHIPPED / file).read_text(encoding="utf-8"))
    highest = world.ask("select max(version) from procedure where code = :c", c=body["code"])[0][0]
    today = world.parts.clock.now().astimezone(HANOI).date()
    made = Procedure.model_validate(body | {"version": highest + 1, "effective_from": today, **changes})
    with world.parts.database.transaction() as session:
        session.add(
            ProcedureRow(
                code=made.code,
                version=made.version,
                effective_from=made.effective_from,
                sha256=f"{made.version:064d}",
                body=made.model_dump(mode="json", by_alias=True),
            )
        )
    try:
        yield made
    finally:
        world.put(
            "update procedure set effective_from = '2099-01-01' where code = :c and version = :v",
            c=made.code,
            v=made.version,
        )
