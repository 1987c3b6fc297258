"""Who may sign what, in which capacity, on which legal basis, at which moment."""
