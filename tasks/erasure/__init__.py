"""Erasing what is personal when a procedure's period is over; what must stay, stays under its own rule."""
