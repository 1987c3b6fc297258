"""The package that nobody can delete."""
