"""Reads a DER structure to its last leaf, so that damage shows where it came in and not where somebody looks later."""

from __future__ import annotations

from asn1crypto import core  # type: ignore[import-untyped]


def read_whole(value: core.Asn1Value) -> None:
    """
    Decode everything in a structure that the library would read only when it is asked for.

    Raises `ValueError` and the library's other errors for what is damaged. It finds what `value.native` finds; that
    encodes every level anew on its way down wherever a default is left out, which takes seven times as long.
    """
    if isinstance(value, core.Sequence):
        # By place and not by name: what stands behind the last field has no name.
        for place in range(len(value)):
            read_whole(value[place])
    elif isinstance(value, core.SequenceOf):
        for one in value:
            read_whole(one)
    elif isinstance(value, core.Choice):
        read_whole(value.chosen)
    elif isinstance(value, core.Any):
        read_whole(value.parsed)
    else:
        value.native  # noqa: B018  A leaf is decoded by looking at it.
