"""Names that one connection holds at PostgreSQL (advisory locks), for `Database.locked`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

#: SQLSTATE of a lock that was not had in time.
_NOT_HAD = "55P03"

_TRY = text("select pg_try_advisory_lock(hashtextextended(:n, 0))")
_WAIT = text("select pg_advisory_lock(hashtextextended(:n, 0))")
_TRY_EACH = text(
    "select n, pg_try_advisory_lock(hashtextextended(n, 0)) from unnest(cast(:names as text[])) n"
)
_FREE_EACH = text("select pg_advisory_unlock(hashtextextended(n, 0)) from unnest(cast(:names as text[])) n")


def take(connection: Connection, name: str, patience: float) -> bool:
    """Try to hold a name on this connection for so many seconds; the transaction ends at once, the lock stays."""
    held = bool(connection.execute(_TRY, {"n": name}).scalar_one())
    if held or patience <= 0:
        connection.commit()
        return held
    wait = f"{int(patience * 1000)}ms"
    connection.execute(text("select set_config('lock_timeout', :wait, true)"), {"wait": wait})
    try:
        connection.execute(_WAIT, {"n": name})
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_HAD:
            raise
        connection.rollback()
        return False
    connection.commit()
    return True


def take_free(connection: Connection, names: Sequence[str]) -> list[str]:
    """Hold those of some names that are free and return them, in order; none twice, whatever was asked."""
    rows = connection.execute(_TRY_EACH, {"names": list(dict.fromkeys(names))})
    held = [name for name, had in rows if had]
    connection.commit()
    return held


def give_back(connection: Connection, names: Sequence[str]) -> None:
    """Free names; a connection that broke has freed them already, and goes to nobody else."""
    try:
        connection.rollback()
        connection.execute(_FREE_EACH, {"names": list(names)})
        connection.commit()
    except DBAPIError:
        connection.invalidate()
