"""The database lets in who has a password, and only where he belongs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest

from infra.errors import Unavailable
from infra.settings import read_secret
from infra.stack import postgres, process, run
from infra.stack.layout import Place


def connect(root: Path, user: str, database: str, password: str) -> psycopg.Connection:
    """Connect as somebody."""
    return psycopg.connect(
        host="127.0.0.1",
        port=Place(root).port("database"),
        user=user,
        dbname=database,
        password=password,
        connect_timeout=5,
    )


def test_postgresql_18_serves_both_databases(stack_root: Path) -> None:
    with postgres.administrator(Place(stack_root), "postgres") as connection:
        found = {name for (name,) in connection.execute("select datname from pg_database")}
        assert {"hoso", "prefect"} <= found
        assert connection.info.server_version // 10_000 == 18  # noqa: PLR2004
        assert connection.execute("show fsync").fetchone() == ("on",)
        assert connection.execute("show data_checksums").fetchone() == ("on",)


@pytest.mark.parametrize("user", ["postgres", "prefect", "hoso_app", "hoso_owner", "root"])
def test_nobody_gets_in_with_a_wrong_password(stack_root: Path, user: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(stack_root, user, "postgres", "wrong")


def test_every_role_gets_in_where_it_belongs(stack_root: Path) -> None:
    secrets = stack_root / "secrets"
    for user, database, file in (
        ("hoso_app", "hoso", "hoso_app"),
        ("hoso_owner", "hoso", "hoso_owner"),
        ("prefect", "prefect", "prefect"),
    ):
        with connect(stack_root, user, database, read_secret(secrets / file)) as connection:
            assert connection.execute("select current_user").fetchone() == (user,)


def test_prefect_cannot_enter_our_database_nor_we_prefects(stack_root: Path) -> None:
    secrets = stack_root / "secrets"
    for user, database in (("prefect", "hoso"), ("hoso_app", "prefect")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect(stack_root, user, database, read_secret(secrets / user))


def test_the_database_listens_on_loopback_only_and_has_no_socket_file(stack_root: Path) -> None:
    ports = process.listening_ports(run.pids(stack_root, "database"))
    assert ports == {Place(stack_root).port("database"): "127.0.0.1"}
    with postgres.administrator(Place(stack_root), "postgres") as connection:
        assert connection.execute("show unix_socket_directories").fetchone() == ("",)


def test_passwords_are_on_no_command_line(stack_root: Path) -> None:
    words = b"".join(
        Path(f"/proc/{pid}/cmdline").read_bytes()
        for part in ("database", "store")
        for pid in run.pids(stack_root, part)
    )
    assert words
    for secret in (stack_root / "secrets").iterdir():
        assert read_secret(secret).encode() not in words


def test_root_without_namespaces_hears_why_a_closed_folder_cannot_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    (closed / "inner" / "stack" / "postgres").mkdir(parents=True)
    closed.chmod(0o700)
    try:
        nobody = postgres.other_user()
    except Unavailable:
        pytest.skip("there is no unprivileged user on this machine")
    if subprocess.run(["setpriv", f"--reuid={nobody.pw_uid}", "true"], check=False).returncode:
        pytest.skip("only root can become somebody else")
    works = postgres._works  # noqa: SLF001
    monkeypatch.setattr(postgres, "_works", lambda *argv: argv[0] != "unshare" and works(*argv))
    with pytest.raises(Unavailable, match="user namespaces are off"):
        postgres.unprivileged(closed / "inner" / "stack" / "postgres")


def test_a_database_that_was_made_half_is_made_again(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    half = Place.at(root).folder("postgres", "data.new")
    (half / "PG_VERSION").write_text("18\n", encoding="utf-8")
    try:
        run.up(root, ["database"])
        assert not half.exists()
        with postgres.administrator(Place(root), "hoso") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        run.down(root)


def test_the_number_of_a_killed_server_may_belong_to_somebody_else_by_now(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    try:
        run.up(root, ["database"])
        run.down(root)
        stale = root / "postgres" / "data" / "postmaster.pid"
        with subprocess.Popen(["sleep", "600"]) as somebody:
            stale.write_text(f"{somebody.pid}\n{stale.parent}\n0\n1\n\n127.0.0.1\n0 0\n", encoding="utf-8")
            stale.chmod(0o600)
            run.up(root, ["database"])
            assert somebody.poll() is None
            somebody.kill()
    finally:
        run.down(root)
