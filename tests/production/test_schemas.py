"""What cannot be started here is held against what its own programs know of it: Compose, Kubernetes, systemd, pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.stack.layout import PROJECT

DEPLOY = PROJECT / "infra" / "deploy"

#: Which Kubernetes the manifests must fit.
KUBERNETES = "1.34"


def run(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, check=False, env={**os.environ, **more}
    )


def broken(file: Path, folder: Path, said: str, instead: str) -> Path:
    """Return a copy of a file with a mistake in it."""
    text = file.read_text(encoding="utf-8")
    assert said in text
    made = folder / file.name
    made.write_text(text.replace(said, instead, 1), encoding="utf-8")
    return made


def test_docker_compose_understands_the_file_and_finds_a_mistake_in_it(tools: Path, tmp_path: Path) -> None:
    told = {"IMAGE": "hoso:1", "PUBLIC_NAME": "hoso.example"}

    def config(file: Path) -> str:
        # The package that brings Compose loses its status; a file that is refused is not printed.
        return run(tools / "docker-compose", "-f", file, "config", **told).stdout

    whole = config(DEPLOY / "compose.yaml")
    for service in ("database", "prefect-server", "prefect-services", "warm-worker", "proxy"):
        assert f"\n  {service}:\n" in whole
    for said, instead in (
        ("stop_grace_period", "stop_graze"),
        ("secrets: [hoso_app, hoso_owner", "secrets: [hoso_apq, hoso_owner"),
    ):
        assert config(broken(DEPLOY / "compose.yaml", tmp_path, said, instead)) == ""


def test_kubernetes_knows_every_field_of_the_manifests_and_finds_a_mistake_in_them(
    tools: Path, tmp_path: Path
) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("not run: there is no kubectl on this machine")

    def judge(folder: Path) -> subprocess.CompletedProcess[str]:
        made = run(kubectl, "kustomize", folder)
        assert made.returncode == 0, made.stderr
        file = tmp_path / "manifests.yaml"
        file.write_text(made.stdout, encoding="utf-8")
        return run(tools / "kubernetes-validate", "--strict", "-k", KUBERNETES, file)

    whole = judge(DEPLOY)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert (whole.stdout + whole.stderr).count("passed for resource") == 17
    copy = tmp_path / "deploy"
    shutil.copytree(DEPLOY, copy)
    broken(
        DEPLOY / "kubernetes/workers.yaml",
        copy / "kubernetes",
        "terminationGracePeriodSeconds",
        "terminationGraceSeconds",
    )
    assert judge(copy).returncode != 0


def test_systemd_understands_the_units_and_finds_a_mistake_in_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("not run: there is no systemd-analyze on this machine")
    for file in (DEPLOY / "systemd").glob("hoso*"):
        # The programs and the user are made when it is installed; what is said of them is systemd's matter.
        lines = file.read_text(encoding="utf-8").splitlines()
        own = {"ExecStart": "/bin/true", "User": "root", "Group": "root", "WorkingDirectory": "/"}
        said = [
            next((f"{k}={v}" for k, v in own.items() if line.startswith(f"{k}=")), line) for line in lines
        ]
        if file.suffix in (".service", ".timer", ".target"):
            (tmp_path / file.name).write_text("\n".join(said) + "\n", encoding="utf-8")

    def verify() -> subprocess.CompletedProcess[str]:
        units = [str(file) for file in sorted(tmp_path.glob("hoso*"))]
        return run(
            "systemd-analyze",
            "verify",
            "--man=no",
            *units,
            SYSTEMD_UNIT_PATH=f"{tmp_path}:/lib/systemd/system",
        )

    whole = verify()
    assert (whole.returncode, [line for line in whole.stderr.splitlines() if "hoso" in line]) == (0, [])
    broken(tmp_path / "hoso-work.service", tmp_path, "ProtectSystem=strict", "ProtectSystem=strickt")
    assert "strickt" in verify().stderr


def test_what_the_image_installs_is_enough_to_run_everything(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    lock = ["--no-deps", "--require-hashes", "-r", str(DEPLOY / "requirements.lock")]
    fetched = run(folder / "bin/pip", "install", "-q", *lock)
    if (
        fetched.returncode
        and "No matching distribution" not in fetched.stderr
        and "HASHES" not in fetched.stderr
    ):
        pytest.skip("not run: the packages are not to be had")
    assert fetched.returncode == 0, fetched.stderr
    assert run(folder / "bin/pip", "check").returncode == 0
    there = {"PYTHONPATH": str(PROJECT), "PREFECT_HOME": str(tmp_path / "prefect"), "HOSO_STANDBY": "no"}
    modules = "flows.command flows.work flows.dossier flows.batches infra.deploy.store prefect_redis.messaging prefect_redis.ordering prefect_redis.lease_storage"
    seen = run(folder / "bin/python", "-c", f"import {', '.join(modules.split())}", **there)
    assert seen.returncode == 0, seen.stderr
    seen = run(folder / "bin/python", "-m", "flows.command", "--help", **there)
    assert seen.returncode == 0, seen.stderr
    assert run(folder / "bin/prefect", "server", "services", "ls", **there).returncode == 0


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prometheus' own judge of rules: the one of this machine, else Debian's, unpacked and not installed."""
    if found := shutil.which("promtool"):
        return found
    folder = tmp_path_factory.mktemp("prometheus")
    if shutil.which("apt-get") is None:
        pytest.skip("not run: there is no promtool on this machine")
    fetched = subprocess.run(
        ["apt-get", "download", "-q", "prometheus"], cwd=folder, capture_output=True, check=False
    )
    packages = list(folder.glob("prometheus_*.deb"))
    if fetched.returncode or not packages:
        pytest.skip("not run: Debian's package prometheus is not to be had")
    subprocess.run(["dpkg", "-x", packages[0], folder], check=True)
    return str(folder / "usr/bin/promtool")


def test_prometheus_understands_the_rules_and_finds_a_mistake_in_them(promtool: str, tmp_path: Path) -> None:
    rules = DEPLOY / "prometheus" / "hoso.rules.yaml"
    whole = run(promtool, "check", "rules", "--lint-fatal", rules)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for said, instead in (("min(hoso_up)", "min(hoso_up"), ("annotations:", "anotations:")):
        assert run(promtool, "check", "rules", broken(rules, tmp_path, said, instead)).returncode != 0


#: What the figures say, and which alerts they raise after so long: the alert, the series, the minute.
RAISED = (
    ("HosoFiguresMissing", {"hoso_other": "1"}, 6),
    ("HosoFiguresMissing", {"hoso_up": "0"}, 6),
    ("HosoPartFailing", {'hoso_check_state{check="store",machine="a"}': "2"}, 11),
    ("HosoPartWarning", {'hoso_check_state{check="disk",machine="a"}': "1"}, 61),
    ("HosoNobodyWorks", {"hoso_outbox_oldest_due_seconds": "301", "hoso_maintenance": "0"}, 3),
    ("HosoMaintenanceForgotten", {"hoso_maintenance": "1"}, 241),
)


def test_the_rules_raise_their_alerts_and_none_that_maintenance_explains(
    promtool: str, tmp_path: Path
) -> None:
    def case(series: dict[str, str], minute: int, wanted: str, *, raised: bool) -> dict[str, object]:
        values = [{"series": name, "values": f"{value}x300"} for name, value in series.items()]
        up = [] if {"hoso_up", "hoso_other"} & set(series) else [{"series": "hoso_up", "values": "1x300"}]
        found = f'count(ALERTS{{alertname="{wanted}",alertstate="firing"}})'
        samples = [{"labels": "{}", "value": 1}] if raised else []
        return {
            "interval": "1m",
            "input_series": [*values, *up],
            "promql_expr_test": [{"expr": found, "eval_time": f"{minute}m", "exp_samples": samples}],
        }

    quiet = {"hoso_outbox_oldest_due_seconds": "301", "hoso_maintenance": "1"}
    tests = [case(series, minute, alert, raised=True) for alert, series, minute in RAISED]
    tests += [
        case(quiet, 100, "HosoNobodyWorks", raised=False),
        case({"hoso_up": "1"}, 100, "HosoFiguresMissing", raised=False),
    ]
    file = tmp_path / "tests.yaml"
    rules = str(DEPLOY / "prometheus" / "hoso.rules.yaml")
    file.write_text(yaml.safe_dump({"rule_files": [rules], "tests": tests}), encoding="utf-8")
    judged = run(promtool, "test", "rules", file)
    assert judged.returncode == 0, judged.stdout + judged.stderr
