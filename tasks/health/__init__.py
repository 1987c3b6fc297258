"""
Whether everything works that the office needs, and what those who run it may do by hand.

What is found of each part, the figures for a monitoring system, causes that many dossiers wait for, maintenance,
and what an operator overrides: by name, with a reason, in the history.
"""
