"""Registration rounds: units ask for certificates in lists that are checked, consolidated and answered."""
