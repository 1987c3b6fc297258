"""
Is anything late, and who should know? What supervisors look at and are told.

Board, day sheet, deadlines that near or pass, and the one new date that an applicant may be given.
"""
