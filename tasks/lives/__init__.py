"""
Lives that dossiers have lived, without a word about whose: the rules of a new release are tried on them.

A life is recorded from the history: what was done when, and what the rules made of it. Replaying it asks the
rules of this program again. Where they answer otherwise, dossiers would fare otherwise after the release, and
somebody must want that.
"""
