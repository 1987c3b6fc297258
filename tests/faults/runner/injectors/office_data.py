"""F9: the edges of the calendar, by the office's own data: holidays that come and go while dossiers are due."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone

import yaml

from tests.faults.runner.injectors import Fault, Scene
from tests.faults.runner.site import SAMPLE


def inject(scene: Scene) -> str:
    """Load the office with holidays on the coming days and other hours, and after a while as it was."""
    site = scene.site
    folder = site.folder / "office"
    shutil.copytree(SAMPLE, folder, dirs_exist_ok=True)
    body = yaml.safe_load((SAMPLE / "office.yaml").read_text(encoding="utf-8"))
    today = datetime.now(timezone(timedelta(hours=7))).date()
    body["holidays"] = [today + timedelta(days=n) for n in scene.random.sample(range(1, 6), k=3)]
    (folder / "office.yaml").write_text(yaml.safe_dump(body, allow_unicode=True), encoding="utf-8")
    tokens = site.settings.trust_anchors.parent / "tokens.json"
    there = site.hoso("office", "load", folder / "office.yaml", "--keys", tokens, by="nobody")
    site.wait_for(lambda: False, scene.random.uniform(4, 8))
    back = site.hoso("office", "load", SAMPLE / "office.yaml", "--keys", tokens, by="nobody")
    if back.code:
        site.wait_for(
            lambda: (
                site.hoso("office", "load", SAMPLE / "office.yaml", "--keys", tokens, by="nobody").code == 0
            ),
            30,
        )
    return f"loading ended with {there.code} and {back.code}"


FAULTS = [Fault(row="F9", name="holidays-come-and-go", inject=inject)]
