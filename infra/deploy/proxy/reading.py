"""
The list of what readers may ask of Prefect's API, as the rules that nginx goes by.

`python -m infra.deploy.proxy.reading` writes `reading.conf` anew from `reading.yaml`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
LISTED, WRITTEN = FOLDER / "reading.yaml", FOLDER / "reading.conf"

#: What a name or id in an address is made of. No percent sign: what is hidden behind one is seen by Prefect only.
_SEGMENT = "[A-Za-z0-9._~:-]+"

_HEAD = """\
# Made from reading.yaml by “python -m infra.deploy.proxy.reading”; do not edit it here.
# The address is compared as it was sent, before anything in it is decoded or resolved.
map "$request_method $request_uri" $reads {
    default 0;
"""


def operations() -> list[tuple[str, str]]:
    """Return what readers may ask: methods and paths below `/api`, as Prefect's OpenAPI description writes them."""
    listed = yaml.safe_load(LISTED.read_text(encoding="utf-8"))
    return [(method, path) for method, paths in listed["allowed"].items() for path in paths]


def pattern(method: str, path: str) -> str:
    r"""
    Return the regular expression of the requests for an operation, whatever their query.

    >>> pattern("GET", "/flow_runs/{id}/graph")
    '^GET /api/flow_runs/[A-Za-z0-9._~:-]+/graph(\\?|$)'
    """
    parts = re.split(r"\{[^}]*\}", path)
    return f"^{method} /api{_SEGMENT.join(re.escape(part) for part in parts)}(\\?|$)"


def render() -> str:
    """Return the file that the proxy includes: a variable `$reads`, 1 for what readers may ask."""
    lines = [f'    "~{pattern(method, path)}" 1;' for method, path in operations()]
    return "\n".join([_HEAD.rstrip(), *lines, "}", ""])


def main() -> int:
    """Write the file."""
    WRITTEN.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
