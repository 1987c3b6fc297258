"""Receiving originals, examining them, making the certified copy."""
