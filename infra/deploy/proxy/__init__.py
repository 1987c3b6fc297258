"""The proxy before the Prefect UI: TLS, one login, and for supervisors reading alone."""
