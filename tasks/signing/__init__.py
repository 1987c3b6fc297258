"""The officials' and the agency's signatures, exactly once."""
