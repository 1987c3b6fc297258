"""
Which release of the program carries dossiers on.

Deploying a release makes it the one that works. A worker of another release takes nothing: one that has not
worked yet waits, one that has worked finishes what it has begun and ends. So the new one is started before the
old one ends, and no dossier is carried by two.
"""
