"""What is done, and may it be? The stages of a dossier: rules, acts, steps and rows."""
