"""Night after night: registered, signed, validated, archived, published, returned and logged must be the same."""
