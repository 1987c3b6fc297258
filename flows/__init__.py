"""In what order? The life of a dossier as Prefect runs and shows it, and the command line."""
