"""
What was done to the files of a package, for archives that read PREMIS 3.0 and nothing of ours.

Objects are the files of the package, events those entries of the history that changed or moved one, agents the posts
and programs behind them. Source: PREMIS Data Dictionary 3.0; the event types are those of the Library of Congress.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from xml.etree import ElementTree as ET

from infra.history import Entry

_SPACE = "http://www.loc.gov/premis/v3"
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

#: Entries that are events of preservation, by the type that the vocabulary gives them.
EVENT_TYPES: Mapping[str, str] = {
    "dossier:received": "capture",
    "copy:frozen": "creation",
    "signature:done": "digital signature generation",
    "document:lifted": "modification",
    "document:validated": "digital signature validation",
    "result:checked": "digital signature validation",
    "leg:accepted": "dissemination",
    "leg:collected": "dissemination",
    "dossier:archiving": "information package creation",
}

_MEDIA_TYPES = {
    "pdf": "application/pdf",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "html": "text/html",
}


def premis(files: Mapping[str, bytes], told: Sequence[Entry], within: Mapping[str, str]) -> bytes:
    """
    Return the PREMIS description of a package's files and of what its history says was done to them.

    `within` are the SHA-256 of documents that are the beginning of a file, with that file's name.
    """
    ET.register_namespace("premis", _SPACE)
    root = ET.Element(f"{{{_SPACE}}}premis", {"version": "3.0"})
    known = {name: sha256(files[name]).hexdigest() for name in sorted(files)}
    for name, digest in known.items():
        _object(root, name, digest, len(files[name]))
    agents: dict[str, str] = {}
    for entry in told:
        said = json.loads(entry.content)
        if said["event"] in EVENT_TYPES:
            actor = said["actor"]
            agent = actor.get("post") or actor["role"]
            agents[agent] = "person" if actor.get("id_hash") and actor["role"] != "agency" else "organization"
            if actor["role"] == "system":
                agents[agent] = "software"
            document = (said.get("doc") or {}).get("sha256", "")
            named = [name for name, digest in known.items() if digest == document]
            _event(root, said, agent, named or [within[document]] if document in within else named)
    for agent, kind in sorted(agents.items()):
        made = _add(root, "agent")
        _identify(made, "agentIdentifier", "post or role", agent)
        _add(made, "agentName", agent)
        _add(made, "agentType", kind)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _object(root: ET.Element, name: str, digest: str, size: int) -> None:
    """Describe one file."""
    made = _add(root, "object")
    made.set(_TYPE, "premis:file")
    _identify(made, "objectIdentifier", "path in the package", name)
    characteristics = _add(made, "objectCharacteristics")
    fixity = _add(characteristics, "fixity")
    _add(fixity, "messageDigestAlgorithm", "SHA-256")
    _add(fixity, "messageDigest", digest)
    _add(characteristics, "size", str(size))
    designation = _add(_add(characteristics, "format"), "formatDesignation")
    _add(designation, "formatName", _MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream"))


def _event(root: ET.Element, said: Mapping[str, str], agent: str, objects: Sequence[str]) -> None:
    """Describe one event."""
    made = _add(root, "event")
    _identify(made, "eventIdentifier", "position in the history", str(said["seq"]))
    _add(made, "eventType", EVENT_TYPES[said["event"]])
    _add(made, "eventDateTime", said["at"])
    _add(_add(made, "eventDetailInformation"), "eventDetail", said["event"])
    _identify(made, "linkingAgentIdentifier", "post or role", agent)
    for name in objects:
        _identify(made, "linkingObjectIdentifier", "path in the package", name)


def _identify(parent: ET.Element, what: str, kind: str, value: str) -> None:
    """Add an identifier of some kind."""
    made = _add(parent, what)
    _add(made, f"{what}Type", kind)
    _add(made, f"{what}Value", value)


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    """Add an element, with its text if it has one."""
    made = ET.SubElement(parent, f"{{{_SPACE}}}{name}")
    made.text = text
    return made
