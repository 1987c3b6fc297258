"""How much a document proves by itself: levels, time-stamps, revocation, and renewal before any of it ends."""
