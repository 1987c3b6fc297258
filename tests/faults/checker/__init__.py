"""
Counts what is left after the faults: it shares no code with the runner, nor with the product.

It reads the database as its administrator, the store as its provisioner, the mail sink's and the token's ledgers,
PDFs through `pdfsig`, packages by their own inventories, and the runner's journal, which is a file of JSON lines.
`python -m tests.faults.checker --root FOLDER` prints one JSON object and ends with 0 when nothing is wrong.
"""
