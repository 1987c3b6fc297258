"""
What did the offices do in a period? Reports that stay as they were made (REP-01 to 03, 05, 06, 09, 10).

A period is over before it is reported; the figures are those of its end, whenever they are computed.
"""
