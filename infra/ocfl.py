"""
Packages that can be read without the program that wrote them: OCFL 1.1 objects, as bytes by path.

Pure functions: what comes out is a mapping from path to content, in the order in which it must be
written, so that an interrupted write never looks complete: a reader believes an object only when its root
inventory and that inventory's sidecar are there, and they come last. Source: OCFL 1.1, https://ocfl.io/1.1/spec/
(sections are quoted as §).
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from infra.errors import Broken

_SPEC = "https://ocfl.io/1.1/spec/"
_DECLARATION = "0=ocfl_object_1.1"
_INVENTORY = "inventory.json"
_SIDECAR = "inventory.json.sha512"
_OWN_FILES = frozenset({_DECLARATION, _INVENTORY, _SIDECAR, f"v1/{_INVENTORY}", f"v1/{_SIDECAR}"})
_DIGEST_LINE = re.compile(r"([0-9a-f]{128})[ \t]+inventory\.json\n?")

#: Objects in folders that bear their names, spread by the SHA-256 of their id: OCFL community extension 0003.
_LAYOUT = "0003-hash-and-id-n-tuple-storage-layout"
#: The extension cuts longer names and adds the digest.
_LONGEST_NAME = 100
#: The characters that it leaves as they are.
_PLAIN = frozenset(string.ascii_letters + string.digits + "-_")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVersion:
    """What the only version of a package says about itself."""

    object_id: str
    created: datetime  # aware, UTC
    message: str
    user_name: str
    files: Mapping[str, bytes]  # by logical path


def ocfl_object(
    object_id: str,
    files: Mapping[str, bytes],
    *,
    message: str,
    user_name: str,
    user_address: str | None,
    created: datetime,
) -> dict[str, bytes]:
    """
    Return the files of an OCFL object with one version, by path within the object, in write order.

    `object_id` should be a URI (§3.5.1), `files` are the package's own, by logical path (`/` in between). The
    same arguments give the same bytes, so writing a package again writes nothing new. `user_address` is
    a URI (`mailto:…`), `created` an aware moment. Raises `Broken` for a path that cannot be one (§3.5.3: no
    empty, `.` or `..` segment, none that is a folder of another), for no files, for a moment without a zone.
    """
    _check_paths(files)
    if not files:
        raise Broken(f"the package {object_id} would be empty")
    manifest: dict[str, list[str]] = {}
    state: dict[str, list[str]] = {}
    content: dict[str, bytes] = {}
    for path in sorted(files):
        digest = _digest(files[path])
        state.setdefault(digest, []).append(path)
        # The same content under two names is kept once; its first name says where (§3.5.2).
        if digest not in manifest:
            manifest[digest] = [f"v1/content/{path}"]
            content[f"v1/content/{path}"] = files[path]
    inventory = {
        "id": object_id,
        "type": f"{_SPEC}#inventory",
        "digestAlgorithm": "sha512",
        "head": "v1",
        "manifest": manifest,
        "versions": {
            "v1": {
                "created": _rfc3339(created),
                "message": message,
                "state": state,
                "user": _user(user_name, user_address),
            }
        },
    }
    written = _json(inventory)
    sidecar = f"{_digest(written)} {_INVENTORY}\n".encode()
    return {
        _DECLARATION: b"ocfl_object_1.1\n",
        **content,
        f"v1/{_INVENTORY}": written,
        f"v1/{_SIDECAR}": sidecar,
        _INVENTORY: written,
        _SIDECAR: sidecar,
    }


def is_inventory(path: str) -> bool:
    """
    Tell whether a file within an OCFL object is an inventory or its sidecar, which are written when all else is there.

    >>> [is_inventory(p) for p in ("inventory.json", "v1/inventory.json.sha512", "v1/content/inventory.json")]
    [True, True, False]
    """
    folder, _, name = path.rpartition("/")
    return name in (_INVENTORY, _SIDECAR) and "/" not in folder


def ocfl_root() -> dict[str, bytes]:
    """Return the files that make a folder (or a key prefix) an OCFL storage root, by path, in write order."""
    layout = {
        "extension": _LAYOUT,
        "description": "Each object lies in a folder of its own name, spread by the SHA-256 of its id.",
    }
    config = {"extensionName": _LAYOUT, "digestAlgorithm": "sha256", "tupleSize": 3, "numberOfTuples": 3}
    return {
        f"extensions/{_LAYOUT}/config.json": _json(config),
        "ocfl_layout.json": _json(layout),
        "0=ocfl_1.1": b"ocfl_1.1\n",
    }


def object_path(object_id: str) -> str:
    """
    Return the folder of an object within a storage root, as the layout of `ocfl_root` says.

    >>> object_path("object-01")
    '3c0/ff4/240/object-01'
    >>> object_path("..hor/rib:le-$id")
    '487/326/d8c/%2e%2ehor%2frib%3ale-%24id'
    """
    digest = hashlib.sha256(object_id.encode()).hexdigest()
    name = "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in object_id.encode())
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}-{digest}"
    return f"{digest[0:3]}/{digest[3:6]}/{digest[6:9]}/{name}"


def check_ocfl(files: Mapping[str, bytes]) -> PackageVersion:
    """
    Check an object that was read back, byte by byte, and return what it holds.

    `files` are all files of the object, by path within it. Every digest is computed anew, nothing may be
    missing, and nothing may be there that no inventory names. Raises `Broken` naming the first thing that is
    wrong. Only objects as `ocfl_object` writes them are known: one version, SHA-512.
    """
    _require(files.get(_DECLARATION) == b"ocfl_object_1.1\n", f"{_DECLARATION} is missing or wrong")
    inventory = _checked_inventory(files)
    try:
        return _checked_content(inventory, files)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Broken(f"the package's inventory is not one that we write: {error!r}") from error


def _checked_inventory(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the inventory, after both copies and both sidecars were compared."""
    for folder in ("", "v1/"):
        _require(f"{folder}{_INVENTORY}" in files, f"{folder}{_INVENTORY} is missing")
        _require(f"{folder}{_SIDECAR}" in files, f"{folder}{_SIDECAR} is missing")
        line = _DIGEST_LINE.fullmatch(files[f"{folder}{_SIDECAR}"].decode("ascii", "replace"))
        right = line is not None and line.group(1) == _digest(files[f"{folder}{_INVENTORY}"])
        _require(right, f"{folder}{_INVENTORY} is not what its sidecar says")
    _require(files[_INVENTORY] == files[f"v1/{_INVENTORY}"], "the two inventories differ")
    try:
        inventory = json.loads(files[_INVENTORY])
    except ValueError as error:
        raise Broken("the package's inventory is not JSON") from error
    _require(isinstance(inventory, dict), "the package's inventory is not an object")
    return cast("dict[str, Any]", inventory)


def _checked_content(inventory: dict[str, Any], files: Mapping[str, bytes]) -> PackageVersion:
    """Compare every file with the inventory, both ways."""
    known = (inventory["head"], inventory["digestAlgorithm"], list(inventory["versions"]))
    _require(known == ("v1", "sha512", ["v1"]), f"the package is of another kind than ours: {known}")
    manifest: dict[str, list[str]] = inventory["manifest"]
    version = inventory["versions"]["v1"]
    paths = {path: digest for digest, named in manifest.items() for path in named}
    for path, digest in paths.items():
        _require(path in files, f"{path} is missing")
        _require(_digest(files[path]) == digest, f"{path} is not what the inventory says")
    for path in files:
        _require(path in paths or path in _OWN_FILES, f"{path} is in no inventory")
    _require(set(manifest) == set(version["state"]), "the manifest and the version name different content")
    logical = {
        name: files[manifest[digest][0]] for digest, names in version["state"].items() for name in names
    }
    return PackageVersion(
        object_id=inventory["id"],
        created=datetime.fromisoformat(version["created"]),
        message=version["message"],
        user_name=version["user"]["name"],
        files=dict(sorted(logical.items())),
    )


def _check_paths(files: Mapping[str, bytes]) -> None:
    """Refuse paths that no storage can hold side by side (§3.5.3)."""
    for path in files:
        folders = path.split("/")
        good = path.isprintable() and not any(part in ("", ".", "..") for part in folders)
        _require(good, f"{path!r} is not a path within a package")
        for depth in range(1, len(folders)):
            above = "/".join(folders[:depth])
            _require(above not in files, f"{above!r} is a file and a folder")


def _user(name: str, address: str | None) -> dict[str, str]:
    """Name who made the version; an address is a URI (§3.5.3.1)."""
    return {"name": name, "address": address} if address else {"name": name}


def _rfc3339(moment: datetime) -> str:
    """Write a moment to the second, in UTC (RFC 3339, required by §3.5.3.1)."""
    _require(moment.tzinfo is not None, "the package's moment has no time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: object) -> bytes:
    """Write JSON that a person can read."""
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def _digest(content: bytes) -> str:
    """Return the SHA-512 in lower-case hex."""
    return hashlib.sha512(content).hexdigest()


def _require(holds: bool, otherwise: str) -> None:
    """Raise `Broken` with a reason unless something holds."""
    if not holds:
        raise Broken(otherwise)
