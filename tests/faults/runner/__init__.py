"""
Faults, for real: a seeded runner that breaks a running office while people work in it.

`make faults` starts every server of the embedded stack, two warm workers, and a few hundred lives of dossiers,
typed with the real commands; meanwhile it kills, stops, fills, lies and refuses. Afterwards a checker that shares
no code with it (`tests/faults/checker`) counts what is left. `docs/faults.md` tells how to read the result.
"""
