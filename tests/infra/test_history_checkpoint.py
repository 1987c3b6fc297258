"""Checkpoints: what is signed, who signed it, and what is no checkpoint."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.errors import Broken
from infra.history import leaf_hash
from infra.history.checkpoint import Checkpoint, Verifier, opened, sign
from infra.history.tree import nodes_over, root

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
CHECKPOINT = Checkpoint(log="motcua.binhlieu.example/hoso", size=20852163, root=bytes(range(32)))
MINE = Verifier.of(CHECKPOINT.log, KEY)
NOTE = sign(CHECKPOINT, KEY)


def test_a_note_is_the_text_a_blank_line_and_a_signature() -> None:
    assert NOTE.splitlines()[:4] == [
        "motcua.binhlieu.example/hoso",
        "20852163",
        base64.b64encode(bytes(range(32))).decode(),
        "",
    ]
    assert NOTE.splitlines()[4].startswith("\u2014 motcua.binhlieu.example/hoso ")
    assert NOTE.endswith("\n")


def test_what_was_signed_comes_back() -> None:
    assert opened(NOTE, MINE) == CHECKPOINT


def test_a_key_is_handed_out_in_one_line_and_read_back() -> None:
    assert Verifier.parse(str(MINE)) == MINE
    assert str(MINE).startswith(f"motcua.binhlieu.example/hoso+{MINE.hash.hex()}+AQ")


def test_the_published_example_of_signed_notes_has_the_published_key_hash() -> None:
    # The example key of the Go checksum database, which introduced the format.
    printed = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    assert str(Verifier.parse(printed)) == printed


def test_a_signature_of_a_witness_beside_ours_does_no_harm() -> None:
    witness = sign(Checkpoint(log="witness", size=CHECKPOINT.size, root=CHECKPOINT.root), OTHER)
    assert opened(NOTE + witness.splitlines()[-1] + "\n", MINE) == CHECKPOINT


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ("another size", NOTE.replace("20852163", "20852164")),
        ("another root", NOTE.replace("AAECAwQF", "BBECAwQF")),
        ("another log", NOTE.replace("binhlieu", "tienyen")),
        ("no signature", NOTE.partition("\u2014")[0]),
        ("somebody else's signature", sign(CHECKPOINT, OTHER)),
        ("no final newline", NOTE.rstrip("\n")),
        ("nothing", ""),
        ("a size that is written another way", NOTE.replace("20852163", "020852163")),
    ],
)
def test_no_other_note_is_taken(what: str, note: str) -> None:
    with pytest.raises(Broken):
        opened(note, MINE)


def test_a_signed_text_that_is_no_checkpoint_is_not_taken() -> None:
    for text in ("hoso\n", "hoso\n5\nAAAA\n", f"hoso\n05\n{base64.b64encode(bytes(32)).decode()}\n"):
        signature = base64.b64encode(Verifier.of("hoso", KEY).hash + KEY.sign(text.encode())).decode()
        with pytest.raises(Broken, match="no checkpoint"):
            opened(f"{text}\n\u2014 hoso {signature}\n", Verifier.of("hoso", KEY))


def test_a_checkpoint_of_another_history_signed_by_our_key_is_not_taken() -> None:
    text = Checkpoint(log="other", size=1, root=bytes(32)).text()
    signature = base64.b64encode(Verifier.of("hoso", KEY).hash + KEY.sign(text.encode())).decode()
    with pytest.raises(Broken, match="another history"):
        opened(f"{text}\n\u2014 hoso {signature}\n", Verifier.of("hoso", KEY))


@pytest.mark.parametrize(
    "printed", ["", "hoso", "hoso+00000000+AQ==", str(MINE)[:-4], str(MINE).replace("AQ", "Ag", 1)]
)
def test_what_is_no_key_is_not_taken(printed: str) -> None:
    with pytest.raises(Broken, match="verifier key"):
        Verifier.parse(printed)


def test_a_log_whose_name_breaks_the_form_cannot_sign() -> None:
    with pytest.raises(Broken, match="cannot sign"):
        sign(Checkpoint(log="sổ một cửa", size=1, root=bytes(32)), KEY)


def test_the_checkpoint_in_the_description_is_signed_over_its_two_entries() -> None:
    said = (Path(__file__).parents[2] / "docs" / "history-format.md").read_text(encoding="utf-8")
    entries = [entry.encode() for entry in re.findall(r"```json\n(\{.*?\})\n```", said)]
    note = re.search(r"```\n(hoso\n2\n.*?)```", said, re.DOTALL)
    key = re.search(r"`(hoso\+\w{8}\+[\w+/=]+)`", said)
    assert note
    assert key
    found = opened(note[1], Verifier.parse(key[1]))
    assert found.root == root(nodes_over([leaf_hash(entry) for entry in entries]), found.size)
