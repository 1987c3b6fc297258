"""PDF: what comes in, what is set, what is signed, what is checked."""
