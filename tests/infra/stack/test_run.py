"""A stack comes up, stays, heals, and goes down, whatever was done to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.environment import environment
from infra.errors import Broken, Forbidden, Unavailable
from infra.settings import Settings, read_secret
from infra.stack import layout, run
from infra.stack.layout import PROJECT, Place
from infra.stack.parts import for_programs
from infra.stack.process import Command

PARTS = ("database", "store", "pki", "token")


def leaders(root: Path) -> dict[str, int]:
    """Return the first process of each part that runs."""
    return {one.part: one.pid for one in run.status(root, seconds=0) if one.pid is not None}


def kill(pid: int) -> None:
    """Kill a process, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < deadline:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            time.sleep(0.02)


def test_up_twice_changes_nothing(stack_root: Path) -> None:
    before, settings = leaders(stack_root), (stack_root / "hoso.env").read_bytes()
    said: list[str] = []
    run.up(stack_root, PARTS, tell=said.append)
    assert leaders(stack_root) == before
    assert (stack_root / "hoso.env").read_bytes() == settings
    assert said == []


@pytest.mark.parametrize("part", ["database", "store"])
def test_only_a_killed_part_is_started_again(stack_root: Path, part: str) -> None:
    before = leaders(stack_root)
    kill(before[part])
    assert {one.part for one in run.status(stack_root, seconds=0) if one.state == "down"} == {part}
    run.up(stack_root, PARTS)
    after = leaders(stack_root)
    assert after.pop(part) != before.pop(part)
    assert after == before
    assert all(one.state == "up" for one in run.status(stack_root, seconds=0))


def test_a_port_that_a_stranger_took_is_replaced_and_written_down(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    try:
        run.up(root, ["mail"])
        old = Place(root).port("mail")
        run.down(root)
        with socket.create_server(("127.0.0.1", old)):
            settings = run.up(root, ["mail"])
            new = Place(root).port("mail")
            assert new != old
            assert f"HOSO_SMTP_PORT='{new}'" in settings.read_text(encoding="utf-8")
        run.down(root)
        run.up(root, ["mail"])
        assert Place(root).port("mail") == new  # remembered
    finally:
        run.down(root)


def test_a_port_that_is_taken_between_the_choice_and_the_start_is_chosen_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = stranger.getsockname()[1]
        really = run._free_port
        first = iter([taken])  # as if it had been free when it was looked at
        monkeypatch.setattr(run, "_free_port", lambda *, taken: next(first, None) or really(taken=taken))
        said: list[str] = []
        try:
            run.up(tmp_path, ["mail"], tell=said.append)
            assert any("another port is chosen" in line for line in said)
            assert Place(tmp_path).port("mail") != taken
            assert {one.state for one in run.status(tmp_path, seconds=0)} == {"up"}
        finally:
            run.down(tmp_path)


def test_the_settings_file_leads_to_everything_and_holds_no_secret(stack_root: Path) -> None:
    file = stack_root / "hoso.env"
    content = file.read_text(encoding="utf-8")
    secrets = [path for path in (stack_root / "secrets").iterdir() if path.is_file()]
    assert len(secrets) > 5
    for secret in secrets:
        assert read_secret(secret) not in content
    read = Settings.read(file)
    for path in (
        read.database_password_file,
        read.database_owner_password_file,
        read.database_admin_password_file,
        read.s3_secret_key_file,
        read.seal_pin_file,
        read.softhsm2_conf,
    ):
        assert path is not None
        assert path.is_relative_to(stack_root)
        assert path.is_file()
    assert list(read.trust_anchors.glob("*.pem"))


def test_nobody_else_can_read_a_stacks_folder(stack_root: Path) -> None:
    assert stat.S_IMODE(stack_root.stat().st_mode) in (
        0o700,
        0o711,
    )  # 0711 where another user runs PostgreSQL
    for folder in (stack_root / "secrets", stack_root / "pids", stack_root / "logs"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for secret in (stack_root / "secrets").iterdir():
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_folders_above_the_root_keep_their_permissions(tmp_path: Path) -> None:
    above = tmp_path / "closed"
    above.mkdir(mode=0o700)
    try:
        run.up(above / "stack", ["database"])
        assert stat.S_IMODE(above.stat().st_mode) == 0o700
    finally:
        run.down(above / "stack")


def test_a_failing_part_takes_down_what_was_started_with_it(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    Place.at(root)
    (root / "portal").write_text("a file where the portal wants a folder", encoding="utf-8")
    with pytest.raises((Broken, OSError)):
        run.up(root, ["mail", "portal"])
    assert not run.running(root)


def test_down_ends_a_stack_whose_notes_were_lost(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    run.up(root, ["mail"])
    shutil.rmtree(root / "pids")
    (root / "stack.json").unlink()
    assert run.running(root)
    run.down(root)
    assert not run.running(root)


def test_down_of_a_stack_that_never_was_is_no_error(tmp_path: Path) -> None:
    run.down(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_settings_of_the_caller_are_written_down_and_remembered(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    try:
        run.up(root, ["mail"], settings={"HOSO_MAIL_LIMIT_BYTES": "5"})
        settings = run.up(root, ["mail"])
        assert "HOSO_MAIL_LIMIT_BYTES='5'" in settings.read_text(encoding="utf-8")
    finally:
        run.down(root)


def test_a_program_of_ours_is_another_command_when_its_settings_changed(tmp_path: Path) -> None:
    place = Place.at(tmp_path / "stack")

    def digest(port: int) -> str:
        layout.write_private(place.settings_file, layout.settings_lines({"HOSO_SMTP_PORT": str(port)}))
        return Command(argv=("program",), environment=for_programs(place), folder=PROJECT).digest()

    assert digest(25) == digest(25)
    assert digest(25) != digest(26)


def test_two_commands_do_not_work_on_one_stack_at_once(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    with Place.at(root).locked(), pytest.raises(Unavailable, match="another command"):
        run.up(root, ["mail"])


def test_a_full_disk_is_said_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LEAST_FREE_BYTES", 10**18)
    with pytest.raises(Unavailable, match="GB are free"):
        run.up(tmp_path / "stack", ["mail"])
    assert not run.running(tmp_path / "stack")


def test_an_unknown_part_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Forbidden, match="database"):
        run.up(tmp_path / "stack", ["mailbox"])


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m infra.stack`."""
    return subprocess.run(
        [sys.executable, "-m", "infra.stack", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_status_says_how_each_part_is_and_exits_by_it(stack_root: Path) -> None:
    done = command("status", "--root", str(stack_root), "--json", "--seconds", "0.2")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["up"] is True
    assert [one["part"] for one in found["parts"]] == list(PARTS)
    database = found["parts"][0]
    assert database["address"].startswith("127.0.0.1:")
    assert database["pid"] == leaders(stack_root)["database"]
    assert database["memory_mb"] > 10  # noqa: PLR2004


def test_status_of_a_stack_that_is_down_exits_with_one(tmp_path: Path) -> None:
    assert command("status", "--root", str(tmp_path / "absent")).returncode == 1


def test_status_does_not_import_prefect() -> None:
    code = "import sys, infra.stack.__main__; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_ends_the_stack_that_was_started_for_it(
    tmp_path: Path, request_to_end: signal.Signals
) -> None:
    root, note = tmp_path / "stack", tmp_path / "note"
    waiting = f"import pathlib, time; pathlib.Path({str(note)!r}).touch(); time.sleep(600)"
    words = ["run", "--root", str(root), "--parts", "mail", "--", sys.executable, "-c", waiting]
    with subprocess.Popen(
        [sys.executable, "-m", "infra.stack", *words],
        cwd=PROJECT,
        env=environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as running:
        deadline = time.monotonic() + 60
        while not note.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert run.running(root)
        running.send_signal(request_to_end)
        assert running.wait(60) == 130  # noqa: PLR2004
    assert not run.running(root)


def test_a_command_in_a_stack_gives_its_answer_and_the_stack_stays(tmp_path: Path) -> None:
    root = tmp_path / "stack"
    code = "import os, sys; sys.exit(7 if os.environ['HOSO_ENV_FILE'].endswith('hoso.env') else 1)"
    try:
        done = command("run", "--root", str(root), "--parts", "mail", "--", sys.executable, "-c", code)
        assert done.returncode == 7  # noqa: PLR2004
        assert run.running(root)
    finally:
        run.down(root)
