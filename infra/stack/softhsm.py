"""
The tokens: SoftHSM2, with keys that were made on it and never leave it, and certificates for them.

The module reads its configuration from the environment when it is loaded, so all work on the tokens is
done in a process of its own (`infra.stack.token_keys`), and whoever asked for the stack is left as it was.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.errors import Broken, Unavailable
from infra.stack.layout import PROJECT, Place, write_private
from infra.stack.parts import Part
from infra.stack.process import MARK, Command, clean_environment, mark_of
from infra.stack.token_keys import Keyring, missing_keys

#: Where Debian puts the module.
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")

#: Who holds which key.
SAMPLE_PKI = Path(__file__).with_name("sample_pki.yaml")


class Tokens(Part):
    """One token for officials and one for the agency's seal; nothing runs, they are files."""

    name = "token"
    needs = ("pki",)

    def settings(self, place: Place) -> Mapping[str, str]:
        """Lead to the module, its configuration, the seal's PIN and the authority to trust."""
        return {
            "HOSO_PKCS11_MODULE": str(MODULE),
            "HOSO_SOFTHSM2_CONF": str(_configuration(place)),
            "HOSO_SEAL_PIN_FILE": str(place.pin("pin_seal")),
            "HOSO_TRUST_ANCHORS": str(place.folder("pki", "anchors")),
        }

    def prepare(self, place: Place) -> None:
        """Make the tokens, keys and certificates that are missing; each takes a second the first time."""
        if not MODULE.exists():
            raise Unavailable("the Debian package softhsm2 is missing; an administrator can install it")
        write_private(
            _configuration(place),
            f"directories.tokendir = {place.folder('tokens')}\n"
            "objectstore.backend = file\nlog.level = ERROR\n",
        )
        place.folder("pki", "anchors")
        place.folder("pki", "chain")
        for token in ("officials", "seal"):
            place.pin(f"pin_{token}")
            place.pin(f"so_pin_{token}")
        if missing_keys(_keyring(place)):
            _make_keys(place)

    def command(self, place: Place) -> Command | None:
        """Nothing runs."""
        return None

    def ready(self, place: Place) -> bool:
        """Tell whether every key has its certificate."""
        return not missing_keys(_keyring(place))


def _configuration(place: Place) -> Path:
    """Return the file that tells SoftHSM2 where its tokens are."""
    return place.root / "softhsm2.conf"


def _keyring(place: Place) -> Keyring:
    """Return where the keys of this stack and what belongs to them lie."""
    return Keyring(
        module=MODULE, entries=SAMPLE_PKI, pki=place.folder("pki"), secrets=place.folder("secrets")
    )


def _make_keys(place: Place) -> None:
    """Make what is missing, in a process that has this stack's tokens and no others."""
    keyring = _keyring(place)
    folders = (keyring.module, keyring.entries, keyring.pki, keyring.secrets)
    done = subprocess.run(
        [sys.executable, "-m", "infra.stack.token_keys", *map(str, folders)],
        env=clean_environment(
            {"SOFTHSM2_CONF": str(_configuration(place)), MARK: mark_of("token", place.root)}
        ),
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    place.log("token").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        raise Broken(f"the tokens could not be made, see {place.log('token')}")
