"""Locking a year of the register: totals, a page that the certifier signs and the agency seals, nothing afterwards."""
