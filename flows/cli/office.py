"""Commands that load offices, with their people and keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlmodel import Session, col, select

from flows.cli import app
from flows.cli.desk import administrator, somebody
from flows.cli.printing import AsJson, show
from infra.database import now
from infra.errors import Forbidden
from infra.history.recording import record
from infra.services import services
from tasks.authority.loading import load_authority
from tasks.certificates.leaving import compare_with_people
from tasks.dossier.moves import Actor
from tasks.dossier.offices import OfficeData, read_office
from tasks.dossier.tables import OfficeRow
from tasks.people.persons import load_people

office_app = typer.Typer(help="Offices: opening hours, people, keys.", no_args_is_help=True)
app.add_typer(office_app, name="office")


@office_app.command("load")
def load_office(
    file: Path,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="tokens.json: key id → token URI and certificate file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load an office from its file; loading it again replaces what changed. Images lie beside the file."""
    somebody()
    office = read_office(file)
    with services().database.transaction() as session:
        by = administrator(session, "office load", office=office.code)
        row = session.get(OfficeRow, office.code) or OfficeRow(
            code=office.code, body={}, loaded_at=now(session)
        )
        row.body = office.model_dump(mode="json")
        row.loaded_at = now(session)
        session.add(row)
        session.flush()
        load_people(session, office, by=by)
        bound = _bind_keys(session, office, file.parent, keys, by) if keys else []
        compare_with_people(session, office.code, by=by)
        facts: dict[str, Any] = {
            "event": "office:loaded",
            "actor": by.facts(),
            "office": office.code,
        }
        record(session, office.code, facts)
        new = load_authority(session, office, by=by)
    value = {"office": office.code, "keys": bound, "authority": new}
    text = f"{office.code}  loaded, {len(bound)} keys bound, {len(new)} entries about authority"
    show(value, as_json=as_json, text=text)


def _bind_keys(session: Session, office: OfficeData, folder: Path, keys: Path, by: Actor) -> list[str]:
    """Register the certificate of every key that the office names; one that was replaced ends."""
    from tasks.certificates.loading import Bound, bind_from_file

    known = json.loads(keys.read_text(encoding="utf-8"))
    wanted = [("", office.seal.key, office.seal.image)]
    wanted += [(o.staff, o.key, o.image) for o in office.officers if o.key and o.image]
    bound = []
    for holder, key, image in wanted:
        if key not in known:
            raise Forbidden(
                f"the key “{key}” of {office.code} is not in {keys.name}.",
                rule="AUTH-06",
                way_out="Make the key on its token and add its certificate, or load the office without --keys.",
            )
        said = Bound(
            holder=holder, key=key, said=known[key], folder=keys.parent, image=(folder / image).read_bytes()
        )
        if bind_from_file(session, office, said, by=by):
            bound.append(key)
    return bound


@office_app.command("list")
def list_offices(as_json: AsJson = False) -> None:
    """List the offices that are loaded."""
    with services().database.transaction() as session:
        rows = list(session.exec(select(OfficeRow).order_by(col(OfficeRow.code))))
    value = [{"code": r.code, "name": r.body["name"], "loaded_at": r.loaded_at} for r in rows]
    text = "\n".join(f"{r.code}  {r.body['name']}" for r in rows) or "none is loaded"
    show(value, as_json=as_json, text=text)
