"""Who works at which office, in which roles, and how a person proves to be that person."""
