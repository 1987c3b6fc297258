"""Registration rounds: units ask for certificates, one office collects, checks and passes the list on (CER-12)."""
