"""
The documentation says what the code does: links resolve, names exist, tables are the code's.

`python tests/test_docs.py` writes the tables that are made from the code anew.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from infra.history import GENESIS, commit_to, leaf_hash, write_entry
from infra.pdf.pages import REFUSALS
from infra.pdf.verifying.words import FINDINGS
from tasks.certificates.lifecycle import MOVES as CERTIFICATE_MOVES
from tasks.dossier.lifecycle import ENDED, MOVES, PAUSED, PORTAL_CODES, PORTAL_MOVES, Stage, Standing
from tasks.dossier.offices import OfficeData, read_office
from tasks.dossier.procedures import SHIPPED, Procedure, read_procedure
from tasks.health.doctor import NAMES as PARTS
from tasks.people.rules import ACTS, WITHOUT_LOGIN
from tasks.reconciliation.rules import FINDINGS as GAPS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
    + list((ROOT / "docs").rglob("*.md"))
)
LIFE, HISTORY, OPERATIONS = (
    ROOT / "docs" / f"{name}.md" for name in ("life-of-a-dossier", "history-format", "operations")
)
PEOPLE = ROOT / "docs" / "people.md"
AFTER_ISSUE = ROOT / "docs" / "after-issue.md"
VERIFYING, SCREENING = ROOT / "docs" / "verifying.md", ROOT / "docs" / "screening.md"
SUPERVISORS, GLOSSARY, README = ROOT / "docs/supervisors.md", ROOT / "docs/glossary.md", ROOT / "README.md"


# What the code says.


@cache
def commands() -> dict[str, Any]:
    """Every command of `hoso` by the words that name it, in the order of its help."""
    cli = importlib.import_module("flows.cli")
    for room in cli.ROOMS:
        importlib.import_module(f"flows.cli.{room}")
    found: dict[str, Any] = {}
    order = {name: place for place, name in enumerate(sum(cli.ROOMS.values(), ()))}
    top = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    for name in sorted(top, key=lambda one: order[one]):
        inner = getattr(top[name], "commands", None)
        found |= {f"{name} {word}": one for word, one in inner.items()} if inner else {name: top[name]}
    return found


def options(command: Any) -> set[str]:
    """The options that a command takes."""
    return {word for one in command.params for word in (*one.opts, *one.secondary_opts)} | {"--help"}


def events() -> set[str]:
    """Every event that the code writes; where its end is decided at run time, `…` stands for it."""
    found: set[str] = set()
    for path in [*(ROOT / "tasks").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {text for text in map(_text, _said(node)) if re.fullmatch(r"[a-z]+:[a-zA-Z…-]+", text)}
    return found


def _said(node: ast.AST) -> Iterator[ast.expr]:
    """The expressions that become the `event` of an entry."""
    if isinstance(node, ast.Call):
        yield from (word.value for word in node.keywords if word.arg == "event")
        if isinstance(node.func, ast.Name) and node.func.id == "tell_list":
            yield from node.args
    elif isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        yield from (v for k, v in pairs if isinstance(k, ast.Constant) and k.value == "event")
    elif isinstance(node, ast.Assign):
        yield from (node.value for one in node.targets if isinstance(one, ast.Name) and one.id == "event")


def _text(node: ast.expr) -> str:
    """A string as it is written in the code."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values)
    return ""


def state_names() -> set[str]:
    """Every name that a dossier may wait or end under."""
    source = ast.parse((ROOT / "flows" / "standing.py").read_text(encoding="utf-8"))
    named = {
        str(node.value.elts[0].value)
        for node in ast.walk(source)
        if isinstance(node, ast.Return)
        and isinstance(node.value, ast.Tuple)
        and isinstance(node.value.elts[0], ast.Constant)
    }
    return named | {str(stage) for stage in Stage} - {"Returned"}  # which waits as AwaitingArchive


# The tables that are made from it.


def stage_table() -> str:
    rows = ["| stage | portal code | clock | may become |", "|---|---|---|---|"]
    for stage in Stage:
        codes = ", else ".join(str(code) for code in PORTAL_CODES[stage])
        clock = "over" if stage in ENDED else "stands still" if stage in PAUSED else "runs"
        clock = "not started" if stage is Stage.BOOKED else clock
        nexts = ", ".join(str(one) for one in Stage if one in MOVES[stage]) or "nothing more"
        rows.append(f"| {stage} | {codes} | {clock} | {nexts} |")
    return "\n".join([*rows, ""])


def portal_table() -> str:
    rows = ["| after | may come |", "|---|---|"]
    for code, nexts in PORTAL_MOVES.items():
        rows.append(f"| {code} | {', '.join(str(one) for one in sorted(nexts)) or 'nothing more'} |")
    return "\n".join([*rows, ""])


def settings_table() -> str:
    """One row a setting, with the comment above it; ↑ where the comment of the row above speaks of both."""
    lines = (ROOT / "infra" / "settings.py").read_text(encoding="utf-8").splitlines()
    rows, said = ["| setting | default | what it says |", "|---|---|---|"], ""
    for line in lines[lines.index("class Settings(BaseModel):") :]:
        if found := re.fullmatch(r"    #: (.*)", line):
            said = f"{said} {found[1]}" if said and said != "↑" else found[1]
        elif found := re.fullmatch(r"    ([a-z0-9_]+): [^=]+ = (.+)", line):
            value = found[2].removeprefix("Path(").rstrip(")").strip('"')
            value = "" if value == "None" else value.replace("_", "") if value[:1].isdigit() else value
            rows.append(f"| `HOSO_{found[1].upper()}` | {f'`{value}`' if value else 'empty'} | {said} |")
            said = "↑" if said else ""
        elif not line:
            said = ""
        elif line.startswith("    @classmethod"):
            break
    return "\n".join([*rows, ""])


def command_table() -> str:
    rows = ["| command | what it does |", "|---|---|"]
    for name, command in commands().items():
        rows.append(f"| `hoso {name}` | {command.help.strip().splitlines()[0]} |")
    return "\n".join([*rows, ""])


def finding_table() -> str:
    rows = ["| code | weight | sentence |", "|---|---|---|"]
    rows += [f"| `{code}` | {one.weight} | {one.en} |" for code, one in FINDINGS.items()]
    return "\n".join([*rows, ""])


def attack_table() -> str:
    rows = ["| attack | what is done |", "|---|---|"]
    for module in ("wrapping", "saving", "forgery", "shadow", "certified", "structure", "evidence"):
        source = ast.parse((ROOT / "tests" / "attacks" / f"{module}.py").read_text(encoding="utf-8"))
        rows += [f"| `{name}` | {says} |" for node in source.body for name, says in _attacks(node)]
    return "\n".join([*rows, ""])


def _attacks(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """The attacks that a statement defines: name, and what is done."""
    if isinstance(node, ast.FunctionDef):
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "attack":
                family, says = _text(call.args[0]), _text(call.args[1])
                yield f"{family.lower()}-{node.name.replace('_', '-')}", says
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        if isinstance(call.func, ast.Name) and call.func.id in ("_range", "_contents"):
            yield f"usf-{_text(call.args[0]).replace('_', '-')}", _text(call.args[1])


def act_table() -> str:
    rows = ["| act | roles | for |", "|---|---|---|"]
    for name, act in ACTS.items():
        where = "the dossier's procedure" if act.by_procedure else "every procedure"
        roles = ", ".join((*act.roles, *(["the program itself"] if act.by_itself else [])))
        rows.append(f"| `{name}` | {roles} | {where} |")
    return "\n".join([*rows, ""])


def gap_table() -> str:
    rows = ["| finding | what is not the same | what mends it |", "|---|---|---|"]
    rows += [f"| `{code}` | {one.sentence} | {one.how or one.repair} |" for code, one in GAPS.items()]
    return "\n".join([*rows, ""])


def refusal_table() -> str:
    rows = ["| code | refused because | rule | what may be done |", "|---|---|---|---|"]
    rows += [f"| `{code}` | {one.why} | {one.rule} | {one.way_out} |" for code, one in REFUSALS.items()]
    return "\n".join([*rows, ""])


def open_table() -> str:
    rows = ["| command | what it needs |", "|---|---|"]
    return "\n".join([*rows, *(f"| `hoso {name}` | {needs} |" for name, needs in WITHOUT_LOGIN.items()), ""])


TABLES = {
    ("acts", PEOPLE): act_table,
    ("gaps", AFTER_ISSUE): gap_table,
    ("open", PEOPLE): open_table,
    ("refusals", SCREENING): refusal_table,
    ("findings", VERIFYING): finding_table,
    ("attacks", VERIFYING): attack_table,
    ("stages", LIFE): stage_table,
    ("portal", LIFE): portal_table,
    ("settings", OPERATIONS): settings_table,
    ("commands", README): command_table,
}


def _table_in(name: str, page: str) -> re.Match[str]:
    found = re.search(rf"(<!-- {name}: made from the code -->\n)((?:\|.*\n)*)(<!-- end -->)", page)
    assert found, f"no place for the table “{name}”"
    return found


# What the pages say.


def links(page: Path) -> Iterator[str]:
    """The targets of a page's links and pictures, examples in code left out."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path, language: str) -> list[str]:
    """A page's blocks of code in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def code_in(page: Path) -> Iterator[str]:
    """Every piece of code of a page: blocks line by line, and what stands between back quotes."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def first_cells(page: Path, heading: str) -> list[str]:
    """The first cells of the tables under a heading, without back quotes."""
    part = re.split(rf"^#+ {re.escape(heading)}$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    part = re.split(r"^## ", part, flags=re.MULTILINE)[0]
    rows = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("|")]
    return [row.strip("`") for row in rows if not row.startswith("---")]


def lines_under(page: Path, heading: str) -> list[str]:
    """The first cells of the table under a heading, up to the next heading of any level, without the table's own."""
    part = re.split(rf"^#+ {re.escape(heading)}$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    rows = [
        line for line in re.split(r"^#", part, flags=re.MULTILINE)[0].splitlines() if line.startswith("|")
    ]
    return [row.split("|")[1].strip().strip("`") for row in rows[2:]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(place), f"{target} has no such heading"


@pytest.mark.parametrize(("name", "page"), TABLES, ids=[name for name, _ in TABLES])
def test_a_table_made_from_the_code_is_up_to_date(name: str, page: Path) -> None:
    shown = _table_in(name, page.read_text(encoding="utf-8"))[2]
    assert shown == TABLES[name, page](), "run: python tests/test_docs.py"


def test_every_command_named_in_the_documentation_exists_and_takes_the_options_shown() -> None:
    for page in PAGES:
        for line in code_in(page):
            for said in re.findall(r"(?:^|[ /|;])hoso ([a-z][a-z-]*(?: [a-z-]+)?)([^|;&#]*)", line):
                words = said[0].split()
                name = next((n for n in (" ".join(words), words[0]) if n in commands()), "")
                if not name and words[0] in {n.split()[0] for n in commands()}:
                    continue  # the name of a group
                assert name, f"{page.name}: there is no “hoso {said[0]}”"
                own = options(commands()[name]) | {"--original", "--pages", "--copies", "--compared"}
                own |= (
                    {"--foreign", "--legalised", "--exempt", "--attachment", "--number", "--awaited"}
                    if name in ("receive", "supply")
                    else set()
                )
                used = set(re.findall(r"(?<!\S)(--[a-z][a-z-]*)", said[0] + said[1]))
                assert used <= own, f"{page.name}: hoso {name} does not take {used - own}"


def test_an_operator_finds_every_part_that_the_doctor_looks_at_and_every_alert_and_no_other() -> None:
    assert sorted(lines_under(OPERATIONS, "What to do for each part")) == sorted(PARTS)
    groups = yaml.safe_load((ROOT / "infra/deploy/prometheus/hoso.rules.yaml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    assert sorted(lines_under(OPERATIONS, "Figures and alerts")) == sorted(alerts)


def test_every_module_that_the_documentation_starts_is_there() -> None:
    for page in PAGES:
        for line in code_in(page):
            for module in re.findall(r"python -m ([a-z_]+(?:\.[a-z_]+)*)", line):
                if module.split(".")[0] in ("flows", "tasks", "infra", "tests"):
                    assert importlib.util.find_spec(module), f"{page.name}: there is no module {module}"


def test_every_make_target_named_in_the_documentation_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = {word for line in code_in(page) for word in re.findall(r"(?:^|[ $])make ([a-z-]+)", line)}
        assert named <= targets, f"{page.name}: there is no “make {named - targets}”"


def test_every_file_of_ours_named_in_the_documentation_exists() -> None:
    for page in PAGES:
        for line in code_in(page):
            for path in re.findall(r"(?<![\w/.])(?:flows|tasks|infra|tests|docs)/[\w/.-]*[\w/]", line):
                assert (ROOT / path).exists(), f"{page.name}: {path} is not there"


def test_every_setting_named_in_the_documentation_exists() -> None:
    known = set(re.findall(r"HOSO_[A-Z0-9_]+", settings_table())) | {
        "HOSO_ENV_FILE",
        "HOSO_RELEASE",
        "HOSO_STANDBY",
    }
    for page in PAGES:
        named = set(re.findall(r"HOSO_[A-Z0-9_]*[A-Z0-9]", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name}: {named - known}"


def test_every_event_of_the_code_is_described_and_no_other() -> None:
    described = first_cells(HISTORY, "Events")
    described = [cell for cell in described if ":" in cell]
    patterns = {event: re.compile(re.escape(event).replace("…", r"[\w-]+")) for event in events()}
    missing = [event for event, one in patterns.items() if not any(map(one.fullmatch, described))]
    unknown = [cell for cell in described if not any(one.fullmatch(cell) for one in patterns.values())]
    assert (missing, unknown) == ([], [])


def test_every_state_that_a_supervisor_can_see_is_explained_and_no_other() -> None:
    explained = first_cells(SUPERVISORS, "What the states mean")
    assert {cell for cell in explained if cell and cell != "state"} == state_names()


def test_the_glossary_knows_every_stage_and_every_standing() -> None:
    known = set(first_cells(GLOSSARY, "Stages of a dossier")) | set(
        first_cells(GLOSSARY, "Standings of an original")
    )
    assert {str(one) for one in [*Stage, *Standing]} <= known


def test_the_vector_of_the_history_format_is_what_the_code_writes() -> None:
    first, second = (json.loads(block) for block in blocks(HISTORY, "json")[:2])
    for said, position in ((first, 0), (second, 1)):
        ours = {"v", "log", "seq", "prev", "at"}
        entry = write_entry(
            log=said["log"],
            position=position,
            previous=GENESIS if position == 0 else bytes.fromhex(said["prev"]),
            at=datetime.fromisoformat(said["at"]),
            facts={key: value for key, value in said.items() if key not in ours},
        )
        page = HISTORY.read_text(encoding="utf-8")
        assert entry.content.decode() in page
        assert entry.leaf_hash.hex() in page
        if position == 0:
            assert second["prev"] == entry.leaf_hash.hex()


def test_the_commitment_of_the_history_format_is_what_the_code_computes() -> None:
    first = json.loads(blocks(HISTORY, "json")[0])
    salt, private = re.findall(
        r"^(?:salt|content): `(.+)`$", HISTORY.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert commit_to(private.encode(), bytes.fromhex(salt)).hex() == first["commit"]


def test_the_verifier_in_the_history_format_finds_what_was_changed() -> None:
    verifier: dict[str, Any] = {}
    exec(blocks(HISTORY, "python")[0], verifier)  # noqa: S102  The page's own example is what is tested.
    at, rows, previous = datetime.fromisoformat("2026-11-23T01:30:00Z"), [], GENESIS
    for position in range(4):
        entry = write_entry(log="hoso", position=position, previous=previous, at=at, facts={"event": "a:b"})
        rows.append((position, entry.leaf_hash, entry.content))
        previous = entry.leaf_hash
    assert verifier["first_fault"](rows) is None
    rewritten = rows[2][2].replace(b"a:b", b"a:c")
    for spoilt in (
        [*rows[:1], *rows[2:]],
        [rows[0], rows[2], rows[1], rows[3]],
        [*rows[:2], (2, rows[2][1], rewritten), rows[3]],
        [*rows[:2], (2, leaf_hash(rewritten), rewritten), rows[3]],
    ):
        assert verifier["first_fault"](spoilt) is not None


def test_the_complete_examples_of_office_and_procedure_are_good_ones() -> None:
    office, procedure = (yaml.safe_load(block) for block in blocks(OPERATIONS, "yaml")[:2])
    assert OfficeData.model_validate(office).officers
    assert set(office) >= set(OfficeData.model_fields) - {"sequence_width"}
    assert Procedure.model_validate(procedure).signature_steps[-1].role == "agency"
    assert set(procedure) == {field.alias or name for name, field in Procedure.model_fields.items()}


def test_the_policy_for_certificates_is_shown_as_it_is_shipped() -> None:
    (shown,) = blocks(ROOT / "docs/certificates.md", "yaml")
    assert shown == (ROOT / "tasks/certificates/policy.yaml").read_text(encoding="utf-8")


def test_the_states_of_a_certificate_are_those_of_the_code() -> None:
    page = (ROOT / "docs/certificates.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    said = {state: set(re.findall(r"[a-z-]+", re.sub(r"\(.*\)", "", nexts))) for state, _, nexts in rows}
    nothing = {"nothing", "more"}
    assert said == {str(s): {str(n) for n in after} or nothing for s, after in CERTIFICATE_MOVES.items()}


def test_the_shipped_data_is_what_the_documentation_points_at() -> None:
    assert read_office(ROOT / "infra/stack/sample_office/office.yaml").code == "H49.21"
    assert {read_procedure(path).code for path in SHIPPED.glob("*.yaml")} == {"e-copy", "return-of-result"}


def test_the_tree_of_the_readme_is_there() -> None:
    block = next(b for b in blocks(README, "") if b.startswith("flows/"))
    top, found = "", 0
    for line in block.splitlines():
        top = line.split("/")[0] if line[:1] != " " else top
        for name in re.findall(r"(?<!\S)[\w-]+(?:\.py|/)(?=[\s;]|$)", line):
            found += 1
            assert (ROOT / top / name).exists() or (ROOT / name).exists(), f"{top}/{name} is not there"
    assert found > 30


def test_every_picture_is_shown_somewhere() -> None:
    shown = {(page.parent / target).resolve() for page in PAGES for target in links(page)}
    assert set((ROOT / "docs" / "pictures").iterdir()) <= shown


def test_every_decision_is_numbered_and_says_what_was_rejected() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert numbers == list(range(1, len(pages) + 1))
    for page in pages:
        assert "## What was rejected" in page.read_text(encoding="utf-8"), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_is_in_one_normal_form_and_speaks_of_the_project_alone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert unicodedata.is_normalized("NFC", text)
    assert not re.search(r"/(?:work|root|home)/|\bTODO\b|\bFIXME\b", text)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def _write_tables() -> None:
    """Put the tables that are made from the code into their pages."""
    for (name, page), made in TABLES.items():
        text = page.read_text(encoding="utf-8")
        found = _table_in(name, text)
        page.write_text(text[: found.start(2)] + made() + text[found.end(2) :], encoding="utf-8")


if __name__ == "__main__":
    _write_tables()
