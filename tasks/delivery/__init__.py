"""Returning results and sending notices, each channel to its end."""
