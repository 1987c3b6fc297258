"""Commands about procedures: their versions, what a new one changes and for whom, the way to other installations."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from sqlmodel import Session

from flows.cli import app
from flows.cli.desk import administrator, somebody
from flows.cli.printing import AsJson, say, show, table
from infra.errors import Forbidden
from infra.services import services
from tasks.dossier import versions
from tasks.dossier.moves import Actor
from tasks.dossier.procedures import SHIPPED, Procedure, read_procedure
from tasks.dossier.procedures.comparing import differences
from tasks.dossier.versions import Definition

procedure_app = typer.Typer(help="Procedures: what offices offer, by version.", no_args_is_help=True)
app.add_typer(procedure_app, name="procedure")

From = Annotated[
    str,
    typer.Option("--from", help="The day on which it begins here (YYYY-MM-DD), later than it says itself."),
]


@procedure_app.command("load")
def load_procedures(
    files: Annotated[list[Path] | None, typer.Argument(help="Without any, those that are shipped.")] = None,
    begins: From = "",
    as_json: AsJson = False,
) -> None:
    """Load procedure definitions; a version that is in use is never changed."""
    chosen = [_read(path) for path in files or sorted(SHIPPED.glob("*.yaml"))]
    _load(chosen, "procedure load", begins=_day(begins), as_json=as_json)


@procedure_app.command("check")
def check_procedures(files: list[Path]) -> None:
    """Check procedure definitions without loading them."""
    for path in files:
        procedure = read_procedure(path)
        say(f"{path}: {procedure.code} v{procedure.version} is well formed")


@procedure_app.command("list")
def list_procedures(as_json: AsJson = False) -> None:
    """List the versions that are loaded, when each begins, and how many dossiers are open under it."""
    with services().database.transaction() as session:
        administrator(session, "procedure list")
        rows = versions.versions(session)
        busy = {code: versions.open_dossiers(session, code) for code in {row.code for row in rows}}
    found = [
        {
            "procedure": row.code,
            "version": row.version,
            "begins": row.effective_from,
            "open": busy[row.code].get(row.version, 0),
            "name": row.body["name"],
        }
        for row in rows
    ]
    if as_json:
        show(found, as_json=True, text="")
    else:
        lines = [
            (f["procedure"], str(f["version"]), str(f["begins"]), str(f["open"]), f["name"]) for f in found
        ]
        table("Procedures", ("procedure", "version", "begins", "open", "name"), lines)


@procedure_app.command("diff")
def diff_procedures(
    file: Annotated[Path, typer.Argument(help="A definition, or a file of “hoso procedure export”.")],
    other: Annotated[Path | None, typer.Argument(help="A second definition, to compare two files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say in words what a definition changes and whom it concerns; with two files, what differs between them."""
    if other is not None:
        old, new = read_procedure(file), read_procedure(other)
        found = differences(old, new)
        show({"changes": found}, as_json=as_json, text="\n".join(found) or "no difference")
        return
    with services().database.transaction() as session:
        administrator(session, "procedure diff")
        said = [_compared(session, one.procedure) for one in _definitions(file)]
    show(said, as_json=as_json, text="\n".join(_in_words(one) for one in said))


@procedure_app.command("export")
def export_procedures(
    out: Path,
    only: Annotated[list[str] | None, typer.Option("--only", help="A procedure; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the versions that are loaded into one file with a checksum, for another installation."""
    with services().database.transaction() as session:
        administrator(session, "procedure export")
        rows = [row for row in versions.versions(session) if not only or row.code in only]
    missing = sorted(set(only or ()) - {row.code for row in rows})
    if missing or not rows:
        raise Forbidden(
            f"no version of {', '.join(missing) or 'any procedure'} is loaded.",
            rule="GEN-02",
            way_out="“hoso procedure list” says what is loaded.",
        )
    with out.open("x", encoding="utf-8") as file:
        file.write(versions.packed(rows))
    value = [{"procedure": row.code, "version": row.version} for row in rows]
    show(value, as_json=as_json, text=f"{out}: {len(rows)} versions")


@procedure_app.command("import")
def import_procedures(
    file: Path,
    begins: From = "",
    as_json: AsJson = False,
) -> None:
    """Load the versions that another installation exported, all or none; “procedure diff” says what they change."""
    somebody()
    _load(_definitions(file), "procedure import", begins=_day(begins), as_json=as_json)


def _load(chosen: list[Definition], act: str, *, begins: date | None, as_json: bool) -> None:
    """Load definitions in the order of their numbers, all or none."""
    with services().database.transaction() as session:
        by: Actor = administrator(session, act)
        loaded = [
            {
                "procedure": one.procedure.code,
                "version": one.procedure.version,
                "new": versions.load(session, one, by=by, begins=begins),
            }
            for one in sorted(chosen, key=lambda one: (one.procedure.code, one.procedure.version))
        ]
    text = "\n".join(
        f"{p['procedure']} v{p['version']}  {'loaded' if p['new'] else 'is loaded'}" for p in loaded
    )
    show(loaded, as_json=as_json, text=text)


def _read(path: Path) -> Definition:
    """Return the definition in a YAML file."""
    procedure = read_procedure(path)
    return Definition.of(procedure, yaml.safe_load(path.read_text(encoding="utf-8")))


def _definitions(path: Path) -> list[Definition]:
    """Return what a file brings: one definition, or the versions that were exported."""
    if path.suffix != ".json":
        return [_read(path)]
    try:
        written = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Forbidden(
            f"{path} cannot be read: {error}.",
            rule="GEN-02",
            way_out="Name a file of “hoso procedure export”, which ends in .json.",
        ) from error
    return versions.unpacked(written, path.name)


def _compared(session: Session, procedure: Procedure) -> dict[str, Any]:
    """Return what a version changes against what is here, and whom it concerns."""
    old = versions.before(session, procedure)
    return {
        "procedure": procedure.code,
        "version": procedure.version,
        "begins": procedure.effective_from,
        "against": old.version if old else None,
        "changes": differences(old, procedure) if old else [],
        "concerns": versions.concerned(session, procedure).sentences(procedure.version),
    }


def _in_words(said: dict[str, Any]) -> str:
    """Return a comparison as people read it."""
    head = f"{said['procedure']} v{said['version']}, begins {said['begins']}, "
    if said["against"] is None:
        head += "a procedure that is not here yet"
    elif said["against"] == said["version"]:
        head += "a version that is loaded" + (
            " and differs" if said["changes"] else ", with the same content"
        )
    else:
        head += f"compared with version {said['against']}"
    return "\n".join(
        [head, *(f"  {line}" for line in said["changes"]), *(f"  {line}" for line in said["concerns"])]
    )


def _day(given: str) -> date | None:
    """Return a day as it is typed; refuses what is none."""
    try:
        return date.fromisoformat(given) if given else None
    except ValueError as error:
        raise Forbidden(
            f"“{given}” is not a day.", rule="GEN-02", way_out="Write it as 2026-12-31."
        ) from error
