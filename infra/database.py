"""
The database that holds the truth.

Every change is one short transaction in `Database.transaction()`. The clock that decisions are made
by is PostgreSQL's own, so that all machines of an office agree on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import URL, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, OperationalError
from sqlalchemy.orm import configure_mappers
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from infra.advisory import give_back, take, take_free
from infra.clock import elapsed
from infra.errors import Unavailable
from infra.settings import read_secret

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.pool import ConnectionPoolEntry

#: SQLSTATE classes that time cures: connection trouble, rolled back by contention, shutting down.
_CURED_BY_TIME = ("08", "40", "53", "57")
#: After so many seconds without use a connection is tried before it is used.
_IDLE = 1.0
#: Where the session of a `together` keeps what is to be written when all its parts are done.
AT_END = "at end"
#: Where a session says that its rows are written together before anything is told of them.
ROWS_FIRST = "rows first"
#: Where a session says that its parts are not undone alone.
_AS_ONE = "as one"
#: For so many seconds PostgreSQL's clock is carried on from its last answer.
_CARRIED = 0.5
#: An answer that took longer, in seconds, is not carried on.
_QUICK = 0.005


def connection_url(url: str, password_file: Path) -> URL:
    """Return a SQLAlchemy URL with the password from its file."""
    return make_url(url).set(password=read_secret(password_file))


def load_driver() -> None:
    """Load the driver and prepare the tables that are known now, for a process that loads before it works."""
    create_engine("postgresql+psycopg://").dispose()
    configure_mappers()


T = TypeVar("T")


class _PartUndone(BaseException):
    """A part of what is done as one was undone; it passes by whoever catches errors, because all is undone with it."""


class Database:
    """One PostgreSQL database, seen by one role."""

    def __init__(self, url: URL, *, pooled: bool = True) -> None:
        """Prepare to connect; nothing is opened before the first transaction."""
        self._shared: ContextVar[Session | None] = ContextVar("shared", default=None)
        options = {"pool_size": 8, "max_overflow": 8} if pooled else {"poolclass": NullPool}
        self._engine: Engine = create_engine(
            url,
            connect_args={"connect_timeout": 5, "application_name": "hoso"},
            hide_parameters=True,  # Errors travel into logs; what people told us does not.
            **options,
        )
        if pooled:
            _ping_what_was_idle(self._engine)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for migrations and for listening."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """
        Yield a session whose changes are kept together or not at all.

        Raises `Unavailable` when the database cannot be reached, or rolled the work back for reasons
        that time cures. After a commit whose answer was lost the caller must read before repeating:
        natural keys make every repetition harmless.
        """
        shared = self._shared.get()
        if shared is not None:
            with _part(shared):
                yield shared
            return
        with translated(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def together(self) -> Iterator[None]:
        """
        Make every `transaction` within a `with` block a part of one, which is kept at the block's end.

        A part that raises is undone alone, and its error goes on its way; whoever catches it inside the
        block keeps the other parts. Nothing may leave the database inside the block (no token, no store, no
        mail): locks are held to its end, and what is told outside may be undone. Raises `Unavailable`.
        """
        if self._shared.get() is not None:
            yield
            return
        with self._sharing():
            yield

    def as_one(self, work: Callable[[], T]) -> T:
        """
        Do as `together` with everything that `work` does, and return what it returns; two statements a part cheaper.

        Its parts are not marked, so when one raises, all is undone and the work done once more with parts that are
        undone alone. So `work` may be done twice, and begins anew whatever it gathers. Ctrl-C in a part undoes all.
        """
        if self._shared.get() is None:
            try:
                with self._sharing(_AS_ONE, ROWS_FIRST):
                    return work()
            except IntegrityError:
                pass  # A row was refused that waited for the end; which part it is of shows in the second try.
            except _PartUndone as undone:
                if not isinstance(undone.__cause__, Exception):
                    raise undone.__cause__ or undone from None  # Somebody stops the work: Ctrl-C.
        with self.together():
            return work()

    @contextmanager
    def _sharing(self, *said: str) -> Iterator[None]:
        """Make one transaction, of which every `transaction` within a `with` block is a part."""
        with translated(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            token = self._shared.set(session)
            at_end: list[Callable[[Session], None]] = []
            session.info.update(dict.fromkeys(said, True))
            session.info[AT_END] = at_end
            try:
                yield
                session.flush()
                for write in at_end:
                    write(session)
            finally:
                self._shared.reset(token)

    @contextmanager
    def locked(self, name: str, *, patience: float) -> Iterator[bool]:
        """
        Hold a name for the length of a `with` block, so that no other process or thread holds it too.

        Yields whether it was had within `patience` seconds; 0 is not to wait. PostgreSQL frees the name of
        whoever dies or loses the connection. It then may be held twice, so it spares work and explains,
        and is not what makes an effect happen once. Raises `Unavailable`.
        """
        with translated(), self._engine.connect() as connection:
            held = take(connection, name, patience)
            try:
                yield held
            finally:
                if held:
                    give_back(connection, [name])

    @contextmanager
    def locked_these(self, names: Sequence[str]) -> Iterator[set[str]]:
        """Hold as `locked` does those of some names that nobody else holds, without waiting; yields which."""
        with translated(), self._engine.connect() as connection:
            held = take_free(connection, names)
            try:
                yield set(held)
            finally:
                give_back(connection, held)

    def now(self) -> datetime:
        """Return PostgreSQL's time, so that a `Database` serves as the office's clock."""
        known = _carried_on(self._engine)
        if known is not None:
            return known
        shared = self._shared.get()
        if shared is not None:
            with translated():
                return now(shared)
        with self.transaction() as session:
            return now(session)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


def once_at_end(session: Session, write: Callable[[Session], None]) -> bool:
    """
    Have `write` called once at the end of what is done as one, behind all its rows; return whether it will be.

    `False` in any other transaction, where the caller writes at once: a part may be undone alone there.
    """
    if ROWS_FIRST not in session.info:
        return False
    at_end: list[Callable[[Session], None]] = session.info[AT_END]
    if write not in at_end:
        at_end.append(write)
    return True


@contextmanager
def _part(shared: Session) -> Iterator[None]:
    """Make a block a part of a transaction, which is undone alone when it raises, or takes all with it."""
    if _AS_ONE not in shared.info:
        with translated(), shared.begin_nested():
            yield
        return
    try:
        yield
    except _PartUndone:
        raise
    except BaseException as error:
        raise _PartUndone from error


def _ping_what_was_idle(engine: Engine) -> None:
    """
    Let a connection that was not used for a while be tried before it is used again, and replaced if it is dead.

    Trying it each time would cost as much as what most transactions ask; one that dies between two uses within
    a second is the caller's `Unavailable`, which is tried again.
    """

    def came_back(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["used"] = elapsed()

    def goes_out(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        used = record.info.get("used")
        if used is None or elapsed() - used < _IDLE:
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error
        if not alive:
            raise DisconnectionError

    event.listen(engine, "checkin", came_back)
    event.listen(engine, "checkout", goes_out)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors that time cures into `Unavailable`; a bug stays what it is."""
    try:
        yield
    except OperationalError as error:
        said = str(error.orig).strip().splitlines() or ["no answer"]
        raise Unavailable(f"the database does not answer: {said[0]}") from error
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if error.connection_invalidated or state[:2] in _CURED_BY_TIME:
            raise Unavailable(f"the database rolled the work back (SQLSTATE {state})") from error
        raise


def now(session: Session) -> datetime:
    """
    Return PostgreSQL's present moment (not the start of the transaction), in UTC.

    A quick answer serves for half a second, carried on by the time that passed here since it came: so it is behind
    by a few milliseconds at most, and never ahead. Time told by one process never runs backwards.
    """
    connection = session.connection()
    known = _carried_on(connection.engine)
    if known is not None:
        return known
    asked = elapsed()
    said = cast("datetime", connection.execute(text("select clock_timestamp()")).scalar_one())
    moment, came = said.astimezone(UTC), elapsed()
    if came - asked < _QUICK:
        _heard[connection.engine] = moment, came
    return moment


def _carried_on(engine: Engine) -> datetime | None:
    """Return the moment by PostgreSQL's last answer, if that is fresh enough to be carried on."""
    known = _heard.get(engine)
    passed = elapsed() - known[1] if known is not None else _CARRIED
    return known[0] + timedelta(seconds=passed) if known is not None and passed < _CARRIED else None


#: What PostgreSQL said last of the time, and when that was by this machine.
_heard: WeakKeyDictionary[Engine, tuple[datetime, float]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class DatabaseClock:
    """The office's clock: PostgreSQL's."""

    database: Database

    def now(self) -> datetime:
        """Return PostgreSQL's present moment; raises `Unavailable`."""
        return self.database.now()
