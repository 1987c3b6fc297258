#!/bin/bash
# Run once by PostgreSQL's image when it makes its data folder: the database of Prefect, and the role that owns it.
set -euo pipefail

# The password goes by standard input: neither an argument nor the environment holds it.
psql --set ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --dbname postgres <<SQL
create role prefect login password '$(cat /run/secrets/prefect)';
create database prefect owner prefect;
revoke all on database prefect from public;
revoke all on database hoso from public;
SQL
