"""
Attacks on signed PDFs, by the names of the published papers, over documents that this project signs.

- SWA, ISA, USF: signature wrapping, incremental saving, universal forgery (Mladenov et al., CCS 2019).
- Shadow: hide, replace, hide-and-replace (Mainka et al., NDSS 2021).
- EAA, SSA: evil annotation, sneaky signature, against certified documents (Rohlmann et al., S&P 2021).
- The rest is damage, confusion of structure, and evidence that was moved or made up.

`ATTACKS` lists all of them. Each takes a `Target` and gives bytes that no verifier may call valid.
"""

from __future__ import annotations

from tests.attacks import certified, evidence, forgery, saving, shadow, structure, wrapping
from tests.attacks.target import Attack, Target

ATTACKS: tuple[Attack, ...] = (
    *wrapping.ATTACKS,
    *saving.ATTACKS,
    *forgery.ATTACKS,
    *shadow.ATTACKS,
    *certified.ATTACKS,
    *structure.ATTACKS,
    *evidence.ATTACKS,
)

__all__ = ["ATTACKS", "Attack", "Target"]
