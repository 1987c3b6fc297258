"""Packages: one a dossier, whole, each object once, by their own inventories (OCFL 1.1) and the store's list."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from typing import Any

from tests.faults.checker.evidence import CODE, Evidence

BUCKET, ROOT = "hoso-archive", "archive/"


def count(evidence: Evidence) -> dict[str, Any]:
    """Return how many packages there are and how many twice; blames what is missing, other, or unlocked."""
    versions: dict[str, list[Any]] = defaultdict(list)
    for item in evidence.store.list_objects(BUCKET, prefix=ROOT, recursive=True, include_version=True):
        versions[item.object_name or ""].append(item)
    for key, found in versions.items():
        if len(found) != 1 or found[0].is_delete_marker:
            evidence.blame("PACKAGE", f"{key} has {len(found)} versions")
    folders = [key.removesuffix("/inventory.json") for key in versions if key.endswith("/inventory.json")]
    folders = [folder for folder in folders if not folder.rsplit("/", 1)[-1].startswith("v")]
    of: Counter[str] = Counter()
    for folder in folders:
        of[_check(evidence, folder, versions)] += 1
    archived = [code for code, dossier in evidence.dossiers.items() if dossier["stage"] == "Archived"]
    for code in archived:
        if of[code] != 1:
            evidence.blame("PACKAGE", f"{code} is archived and has {of[code]} packages")
    _compare(evidence, versions)
    return {
        "packages": len(folders),
        "archived": len(archived),
        "doubled": sum(n - 1 for n in of.values() if n > 1),
    }


def _check(evidence: Evidence, folder: str, versions: dict[str, list[Any]]) -> str:
    """Check one package against its inventory; return whose it is."""
    raw = evidence.read(BUCKET, f"{folder}/inventory.json")
    inventory = json.loads(raw)
    sidecar = (
        evidence.read(BUCKET, f"{folder}/inventory.json.{inventory['digestAlgorithm']}").split()[0].decode()
    )
    if hashlib.new(inventory["digestAlgorithm"], raw).hexdigest() != sidecar:
        evidence.blame("PACKAGE", f"{folder}: the inventory is not what its sidecar says")
    if evidence.read(BUCKET, f"{folder}/{inventory['head']}/inventory.json") != raw:
        evidence.blame("PACKAGE", f"{folder}: the version's inventory is another one")
    for digest, paths in inventory["manifest"].items():
        for path in paths:
            key = f"{folder}/{path}"
            if key not in versions:
                evidence.blame("PACKAGE", f"{key} is in the inventory and not in the store")
            elif hashlib.new(inventory["digestAlgorithm"], evidence.read(BUCKET, key)).hexdigest() != digest:
                evidence.blame("PACKAGE", f"{key} is not the bytes that the inventory names")
    told = {path for paths in inventory["manifest"].values() for path in paths}
    extra = {
        key
        for key in versions
        if key.startswith(f"{folder}/v") and key.removeprefix(f"{folder}/") not in told
    }
    for key in extra:
        if "/inventory.json" not in key:
            evidence.blame("PACKAGE", f"{key} is in the package and not in its inventory")
    found = CODE.search(inventory["id"])
    return found.group() if found else inventory["id"]


def _compare(evidence: Evidence, versions: dict[str, list[Any]]) -> None:
    """Compare what the database believes to be locked away with what the store says."""
    for row in evidence.rows("select * from archived_object"):
        found = {item.version_id: item for item in versions.get(row["key"], [])}
        if row["key"].startswith(ROOT) and row["version_id"] not in found:
            evidence.blame("PACKAGE", f"{row['key']}: the version that was read back is not in the store")
            continue
        if not row["key"].startswith(ROOT):
            continue
        held = evidence.store.get_object_retention(BUCKET, row["key"], version_id=row["version_id"])
        if held is None or held.mode != "COMPLIANCE" or held.retain_until_date < row["retain_until"]:
            evidence.blame("PACKAGE", f"{row['key']} is not locked as it was written down")
