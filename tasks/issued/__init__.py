"""Results after their issue: withdrawn, corrected, and said to stand or not by a signed list."""
