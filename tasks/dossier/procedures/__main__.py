"""Write `schema.json` anew from the classes that check definitions: `python -m tasks.dossier.procedures`."""

from __future__ import annotations

import json

from tasks.dossier.procedures import SHIPPED, Procedure


def schema() -> str:
    """Return the JSON schema of a procedure definition as the file holds it."""
    return json.dumps(Procedure.model_json_schema(by_alias=True), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    (SHIPPED / "schema.json").write_text(schema(), encoding="utf-8")
