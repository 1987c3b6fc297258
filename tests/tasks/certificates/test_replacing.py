"""The words of docs/operations.md by which a token is replaced and the seal's key is rotated, typed as they stand there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from flows.sealing import seal_original
from infra.clock import HANOI
from infra.errors import Forbidden
from tasks.dossier.waiting import frozen_at
from tasks.signing.keys import _seals
from tasks.signing.steps import sign_original, validate
from tests.procedure_versions import another_version
from tests.tasks.certificates.conftest import IMAGE, UNIT, sha256_of
from tests.tasks.certificates.test_life import Holder, holder
from tests.world import PIN, World

__all__ = ["holder"]

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def section(title: str) -> str:
    """Return the text under a heading."""
    found = re.search(
        rf"^## {title}\n(.*?)^## ", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands that a section shows, without their first word."""
    for line in re.findall(r"^\$ hoso (.*)$", text, re.MULTILINE):
        yield shlex.split(line)


def put_in(words: list[str], known: dict[str, str]) -> list[str]:
    """Return a command with what stands for an example replaced by what is here."""
    return [known.get(word, word) for word in words]


def signs_with(holder: Holder, label: str, sha256: str, code: str) -> bool:
    """Sign an original with the key on a device."""
    world = holder.world
    der = bytes(world.ask("select der from certificate where sha256 = :s", s=sha256)[0].der)
    token = world.parts.open_token(f"pkcs11:token={label};id=%01", pin=PIN, certificate=der)
    return sign_original(code, 1, world.signer(holder.office, token=token))


def test_an_official_s_lost_token_is_replaced_by_the_words_of_the_operations_page(
    holder: Holder, tmp_path: Path
) -> None:
    office, world = holder.office, holder.world
    old = holder.active("lost")
    world.put(
        "update certificate set state = 'active', revoked_at = null, ended_at = null"
        " where office = :o and holder = 'lam'",
        o=office,
    )
    before, waiting = world.frozen(office), world.frozen(office)
    assert signs_with(holder, "lost", old, before)
    reason = tmp_path / "reason.txt"
    reason.write_text("Mất thiết bị.\n", encoding="utf-8")
    file = holder.certificate(holder.device("new"))
    known = {
        "4d2f…": old, "91c0…": sha256_of(file), "reason.txt": str(reason), "ha-2.pem": str(file), "H49.21": office,
        "pkcs11:serial=…;id=%01": "pkcs11:token=new;id=%01",
        "2026-11-20T17:00": f"{datetime.now(HANOI):%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    typed = []
    for words in commands(section("Replacing a token")):
        # The page leaves the PIN to a question at the terminal.
        more = ("--image", IMAGE, "--pin-file", holder.pin_file) if words[1] == "register" else ()
        said = holder.type(*[known.get(word, word) for word in words], *more, "--json")
        assert said.code == 0, (words, said.err)
        typed.append(words[1])
        if words[1] == "request":
            known["7"] = str(said.json["request"])
        if words[1] == "suspend":
            with pytest.raises(Forbidden, match="suspended"):
                signs_with(holder, "lost", old, waiting)
    assert typed == ["suspend", "revoke", "impact", "request", "issue", "hand-over", "register"]
    assert (holder.state(old), holder.state(sha256_of(file))) == ("revoked", "active")
    with world.parts.database.transaction() as session:
        official = {one.dossier: one.official for one in frozen_at(session, office)}
    assert official == {before: "lam", waiting: "lam"}, "open pages went to another official"
    assert "original:rerouted" in world.events(before)
    after = world.frozen(office)
    assert signs_with(holder, "new", sha256_of(file), after)


def test_the_seal_s_key_is_rotated_without_a_stop_by_the_words_of_the_operations_page(holder: Holder) -> None:
    """Steps 1 to 4; what a step says in words is done by the commands that it names."""
    office, world = holder.office, holder.world
    named = re.findall(
        r"`hoso (certificate [a-z-]+)", section("Rotating keys").partition("The history's key")[0]
    )
    assert named[:5] == [
        "certificate renew", "certificate issue", "certificate hand-over", "certificate register", "certificate activate",
    ]  # fmt: skip
    old = world.ask(
        "select sha256 from certificate where office = :o and holder = '' and state = 'active'", o=office
    )
    (old_seal,) = (row.sha256 for row in old)
    world.put(
        "update certificate set not_after = clock_timestamp() + interval '65 days' where sha256 = :s",
        s=old_seal,
    )
    holder.active("ha")
    # Who answers on revocation is not asked here: these keys are not of the authority that answers.
    with another_version(world, "e-copy.v2.yaml", evidence={"release": "B", "archive": "B"}):
        first, second = (world.frozen(office) for _ in range(2))
    ha = world.ask(
        "select sha256 from certificate where office = :o and holder = 'ha' and state = 'active'", o=office
    )
    for code in (first, second):
        assert signs_with(holder, "ha", ha[0].sha256, code)

    number = holder.did("certificate", "renew", old_seal, "--document", "40/UBND")["request"]
    file = holder.certificate(holder.device("seal-2"), name=UNIT)
    new = holder.did("certificate", "issue", number, "--certificate", file)["sha256"]
    holder.did("certificate", "hand-over", new, "--minutes", "BB-10/2026")
    holder.did(*holder.registering(file, "seal-2", "--later", holder="seal"))
    assert seal_original(first, 1), "nothing has changed yet"
    assert seal_used(world, first) == old_seal
    holder.did("certificate", "activate", new)
    _seals.clear()  # That worker was restarted with the new PIN in its file; here both tokens have the same.
    assert seal_original(second, 1)
    assert seal_used(world, second) == new
    assert (holder.state(new), holder.state(old_seal)) == ("active", "renewed")
    for code in (first, second):
        assert validate(code, 1), "what the old one sealed holds as well"


def seal_used(world: World, code: str) -> str:
    """Return the certificate that sealed a dossier's original."""
    (row,) = world.ask(
        "select certificate_sha256 as sha256 from signature where dossier = :d and role = 'agency'"
        " and kept_at is not null",
        d=code,
    )
    return str(row.sha256)
