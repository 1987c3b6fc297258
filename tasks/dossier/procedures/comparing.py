"""
What differs between two versions of a procedure, in words that whoever decides about it can read.

Nothing is left out: what has no sentence of its own is said as “what: before → after”.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tasks.dossier.procedures import Procedure, SignatureStep

#: What has sentences of its own, or says which version it is.
_APART = ("code", "version", "effective_from", "checklist", "signature_steps")


def differences(old: Procedure, new: Procedure) -> list[str]:
    """
    Return a sentence for everything that differs but number and beginning; none for the same content.

    >>> from tasks.dossier.procedures import SHIPPED, read_procedure
    >>> one, two = (read_procedure(SHIPPED / f"e-copy.v{n}.yaml") for n in (1, 2))
    >>> differences(one, two)
    ['evidence, archive: B → LTA', 'evidence, release: B → LT']
    >>> differences(one, one)
    []
    """
    found = [*_checklist(old, new), *_signatures(old.signature_steps, new.signature_steps)]
    before, after = _plain(old), _plain(new)
    for name in sorted(before.keys() | after.keys()):
        found += _compared(name.replace("_", " "), before.get(name), after.get(name))
    return found


def _plain(procedure: Procedure) -> dict[str, object]:
    """Return what is compared by name alone."""
    body = procedure.model_dump(mode="json", by_alias=True)
    return {name: value for name, value in body.items() if name not in _APART}


def _checklist(old: Procedure, new: Procedure) -> Iterator[str]:
    """Yield what the applicant must bring that was not asked for before, and the other way round."""
    before, after = ({item.id: item for item in one.checklist} for one in (old, new))
    for id_, item in after.items():
        if id_ not in before:
            yield f"the checklist asks for “{item.name}” ({'required' if item.required else 'optional'})"
        elif before[id_] != item:
            was, now = (
                f"“{i.name}” ({'required' if i.required else 'optional'})" for i in (before[id_], item)
            )
            yield f"the checklist asks for {now} instead of {was}"
    for id_, item in before.items():
        if id_ not in after:
            yield f"the checklist does not ask for “{item.name}” any more"


def _signatures(old: Sequence[SignatureStep], new: Sequence[SignatureStep]) -> Iterator[str]:
    """Yield which signatures are new, gone or otherwise, and the order when it is another one."""
    before, after = ({step.field: step for step in steps} for steps in (old, new))
    for field, step in after.items():
        if field not in before:
            yield f"{field} is signed too, by the {_who(step)}"
        else:
            was, now = (one.model_dump(exclude={"field"}) for one in (before[field], step))
            for name in was:
                yield from _compared(f"signature {field}, {name.replace('_', ' ')}", was[name], now[name])
    for field in before:
        if field not in after:
            yield f"{field} is not signed any more"
    both = [
        [step.field for step in steps if step.field in before.keys() & after.keys()] for steps in (old, new)
    ]
    if both[0] != both[1]:
        yield f"the order of signatures: {', '.join(before)} → {', '.join(after)}"


def _who(step: SignatureStep) -> str:
    """Return who signs a step."""
    capacities = f" ({', '.join(step.capacities)})" if step.capacities else ""
    return f"{step.role}{capacities}{', if it is not dropped' if step.optional else ''}"


def _compared(what: str, before: object, after: object) -> Iterator[str]:
    """Yield what differs in one value, member by member where both have members."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            yield from _compared(f"{what}, {str(name).replace('_', ' ')}", before.get(name), after.get(name))
    else:
        yield f"{what}: {_said(before)} → {_said(after)}"


def _said(value: object) -> str:
    """Return a value as a person reads it."""
    if value is None or value in ([], (), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{str(name).replace('_', ' ')} {_said(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_said(one) for one in value)
    return str(value)
