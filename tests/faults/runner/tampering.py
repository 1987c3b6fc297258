"""
F20: somebody with all the keys changes what must not be changed: it is named, not passed over.

Done when everything is quiet, and put back afterwards, so that the checker judges the office's own work.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys

from minio import Minio

from infra.stack.layout import PROJECT
from infra.stack.seaweed import WORK_BUCKET, provisioner
from tests.faults.runner.site import Site


def tamper(site: Site) -> None:
    """Change an entry of the history as PostgreSQL's administrator, and a document as the store's."""
    for name, work in (("history-row-changed", _entry), ("work-object-changed", _document)):
        named = work(site)
        site.journal.tell("fault", row="F20", what=name, did=named or "nothing was noticed")
        if not named:
            site.journal.tell("finding", what=f"{name}: nobody noticed")


def _entry(site: Site) -> str:
    """Change one byte of an entry, export, and let the stand-alone verifier name its place."""
    size = site.ask("select size from history_head")[0][0]
    place = site.random("tamper").randrange(1, size - 1)
    entry = bytes(site.ask("select entry from history_entry where position = %s", place)[0][0])
    other = entry.replace(b'"event":"', b'"event":"x', 1)
    _rewrite(site, place, other)
    try:
        folder = site.folder / "export-tampered"
        said = site.hoso("history", "export", folder, by="nobody")
        if said.code:
            return f"the export refuses: {said.err.strip()[:120]}"
        verifier = PROJECT / "infra" / "history" / "verify_history.py"
        words = [sys.executable, "-I", str(verifier), "export", str(folder), "--key", str(folder / "key")]
        done = subprocess.run(words, capture_output=True, text=True, cwd="/")
        found = json.loads(done.stdout)
        right = done.returncode == 1 and found["first_bad"] == place
        return f"the verifier names entry {found['first_bad']}" if right else ""
    finally:
        _rewrite(site, place, entry)


def _rewrite(site: Site, place: int, entry: bytes) -> None:
    """Write other bytes into the history past its triggers."""
    with site.owner() as connection:
        connection.execute("alter table history_entry disable trigger only_grows")
        connection.execute("update history_entry set entry = %s where position = %s", [entry, place])
        connection.execute("alter table history_entry enable trigger only_grows")


def _document(site: Site) -> str:
    """Put other bytes in the place of a released document, and ask for it."""
    query = "select dossier, ordinal, key from document where kind in ('lifted', 'sealed') order by id desc limit 1"
    found = site.ask(query)
    if not found:
        return "no document was there to change"
    code, ordinal, key = found[0]
    store: Minio = provisioner(site.place, "s3")
    answer = store.get_object(WORK_BUCKET, key)
    content = answer.read()
    answer.close()
    other = bytes([content[0] ^ 1]) + content[1:]
    put = store.put_object(WORK_BUCKET, key, io.BytesIO(other), len(other))
    try:
        said = site.hoso("document", code, ordinal, "--out", site.folder / "tampered.pdf", by="mai")
        return f"hoso document: {said.err.strip().splitlines()[0][:120]}" if said.code == 5 else ""
    finally:
        store.remove_object(WORK_BUCKET, key, version_id=put.version_id)
