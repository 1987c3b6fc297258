"""Batches: many dossiers carried through one part of their lives together, with a result for each."""
