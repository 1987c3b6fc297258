#!/bin/bash
# Run once by PostgreSQL's image when it makes its data folder: whoever takes the backup may ask for the log of changes.
set -euo pipefail

printf 'host replication postgres all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
