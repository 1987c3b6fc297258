"""An official signs with a database role that sees the rows of one office only (`hoso desk make`), and a real token."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url

from tasks.people.desk_roles import role_name
from tests.faults.conftest import Desk
from tests.faults.test_signing_killed import balanced, results


def test_a_list_is_written_reviewed_and_signed_with_the_desk_s_own_role(desk: Desk, tmp_path: Path) -> None:
    world, secret = desk.world, tmp_path / "role"
    secret.write_text("the password of a desk\n")
    secret.chmod(0o600)
    assert world.type("desk", "make", desk.office, "--password-file", secret).code == 0
    code, elsewhere = world.frozen(desk.office, 2), world.frozen(world.office())
    url = make_url(world.settings.database_url).set(username=role_name(desk.office))
    role = {
        "HOSO_DATABASE_URL": url.render_as_string(hide_password=False),
        "HOSO_DATABASE_PASSWORD_FILE": str(secret),
        "HOSO_DATABASE_OWNER_PASSWORD_FILE": "/nonexistent",
        "HOSO_DATABASE_ADMIN_PASSWORD_FILE": "/nonexistent",
    }
    try:
        with world.as_(desk.office, "ha"):
            listed = world.hoso("sign", "--list", "--json", **desk.settings, **role)
            assert listed.code == 0, listed.err
            assert {one["dossier"] for one in listed.json["documents"]} == {code}
            digest = listed.json["digest"]
            words = (
                "sign",
                "--manifest",
                digest,
                "--pin-file",
                desk.pin,
                "--leave-out",
                f"{code}/2={_reason(tmp_path)}",
            )
            said = world.hoso(*words, "--json", **desk.settings, **role)
            outcome = world.hoso("sign", "--outcome", digest, "--json", **desk.settings, **role)
        assert said.out, said.err
        assert results(said) == ["signed", "left out"], said.err
        assert [one["result"] for one in outcome.json["documents"]] == ["signed", "left out"]
        balanced(desk, code, steps=1, calls=1)
        assert [one.standing for one in world.originals(elsewhere)] == ["certified"]
    finally:
        assert world.type("desk", "end", desk.office).code == 0


def _reason(folder: Path) -> Path:
    """Write a reason down, because it is no argument."""
    (folder / "why.txt").write_text("trang 1 bị mờ\n", encoding="utf-8")
    return folder / "why.txt"
