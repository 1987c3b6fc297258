"""
The embedded stack: every server that the office needs, on one machine, without containers.

`python -m infra.stack up` starts it and `from infra.stack.run import up, down` does the same for tests. All
of it listens on 127.0.0.1 at ports that are chosen once and remembered; its data, logs and secrets lie
under one folder (`var/stack`), and `hoso.env` in it tells programs where everything is. Production swaps
any part by its settings; nothing outside this package knows that the stack exists.
"""
