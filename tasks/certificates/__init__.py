"""Certificates and tokens as records: requested, issued, handed over, active, and how each one ends."""
