"""The bench refuses its own result when a check was switched off or an effect is missing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from infra.environment import export
from infra.errors import Broken, HosoError
from infra.pdf.checking import SignatureFound
from tasks.batches.rules import Kind
from tasks.evidence import steps as lifting
from tasks.signing import once, steps
from tests.world import World, refused

COUNT = 4


@pytest.fixture
def proof(world: World, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The proof, which spoils documents of small batches too."""
    export("PREFECT_HOME", str(world.root / "prefect-client"))
    import flows.bench_proof as found

    monkeypatch.setattr(found, "_ENOUGH", COUNT)
    return found


class Believed(str):
    """A hash that is equal to every other."""

    def __eq__(self, _other: object) -> bool:
        return True

    def __ne__(self, _other: object) -> bool:
        return False

    __hash__ = str.__hash__


def carried(world: World, proof: ModuleType) -> tuple[list[str], set[str]]:
    """Carry dossiers as the bench does, two of them spoilt on the way; return all, and the spoilt."""
    from flows.batches import run_batch

    office = world.office()
    codes = [world.frozen(office) for _ in range(COUNT)]
    spoilt = set(proof.spoil(codes))
    signer = world.signer(office)
    for code in codes:
        try:
            steps.sign_original(code, 1, signer)
        except HosoError:
            assert code in spoilt
    spoilt |= proof.spoil(codes, signed=True)
    for kind in (Kind.SEALING, Kind.DELIVERY, Kind.ARCHIVAL):
        asyncio.run(run_batch(kind, office, here=True))
    world.put("update dossier set shown = 'COMPLETED|Archived|' where code = any(:c)", c=codes)
    return codes, spoilt


def test_a_whole_result_is_believed_and_one_that_lacks_an_effect_is_not(
    world: World, proof: ModuleType
) -> None:
    codes, spoilt = carried(world, proof)
    proof.prove(codes, spoilt)
    sound = next(code for code in codes if code not in spoilt)
    for what, lack in (
        ("agency's seal", "update signature set kept_at = null where role = 'agency' and ordinal > 0"),
        ("accepted return", "update delivery_leg set state = 'trying'"),
        ("number in the register", "update register_entry set state = 'reserved'"),
        ("Prefect", "update dossier set shown = 'PAUSED|Signed|'"),
    ):
        key = "code" if "update dossier" in lack else "dossier"
        where = " and" if " where " in lack else " where"
        with pytest.raises(RuntimeError), world.parts.database.together():
            world.put(f"{lack}{where} {key} = :c", c=sound)
            assert what in str(refused(Broken, lambda: proof.prove(codes, spoilt)))
            raise RuntimeError("undone")
    assert "got through" in str(refused(Broken, lambda: proof.prove(codes, spoilt | {sound})))


def test_without_the_comparison_with_the_reviewed_bytes_the_bench_refuses_its_result(
    world: World, proof: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (steps, once):
        monkeypatch.setattr(module, "sha256_of", lambda _content: Believed())
    codes, spoilt = carried(world, proof)
    assert "got through" in str(refused(Broken, lambda: proof.prove(codes, spoilt)))


def test_without_the_checks_of_signatures_the_bench_refuses_its_result(
    world: World, proof: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = steps.signatures_of

    def believed(content: bytes, **given: Any) -> list[SignatureFound]:
        return [replace(one, intact=True, trusted=True) for one in real(content, **given)]

    def unchecked(_previous: bytes, signed: bytes, **given: Any) -> SignatureFound:
        found = believed(signed, anchors=given["anchors"], chain=given["chain"])
        return next(one for one in found if one.field == given["field"])

    monkeypatch.setattr(steps, "signatures_of", believed)
    monkeypatch.setattr(once, "check_signed", unchecked)
    monkeypatch.setattr(lifting, "signatures_of", believed)
    codes, spoilt = carried(world, proof)
    assert "got through" in str(refused(Broken, lambda: proof.prove(codes, spoilt)))
