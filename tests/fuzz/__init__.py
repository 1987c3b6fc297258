"""Fuzzing guided by coverage, for as long as one likes: what `hypothesis` finds in a minute is in the tests proper."""
