"""Booking a slot, keeping it, missing it."""
