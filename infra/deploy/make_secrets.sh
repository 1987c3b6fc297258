#!/bin/bash
# Make the secrets of an installation in a folder, each once: random passwords and the history's signing key.
#
#   infra/deploy/make_secrets.sh FOLDER
#
# What is there is never changed, so it may be run again. What only people can bring is named at the end and is made by
# nobody else: the certificate of the proxy, the logins of the Prefect UI, the PIN of the seal.
set -euo pipefail
umask 077

folder=${1:?which folder?}
mkdir -p "$folder"
cd "$folder"

# A file appears whole or not at all.
keep() {
    if [ -e "$1" ]; then
        cat >/dev/null
        return
    fi
    cat >"$1.new"
    mv "$1.new" "$1"
}

for name in postgres hoso_owner hoso_app prefect s3_hoso store_root; do
    openssl rand -hex 24 | tr -d '\n' | keep "$name"
done
openssl genpkey -algorithm ed25519 2>/dev/null | keep history_key
# In PostgreSQL's own form, for those of its clients that take no password from elsewhere.
printf 'database:5432:prefect:prefect:%s\n' "$(cat prefect)" | keep prefect_pgpass
printf 'database:5432:*:postgres:%s\n' "$(cat postgres)" | keep backup_pgpass

# The programs run as user and group 10001; the database's own image runs as another user in that group.
chmod 0440 ./*
chmod 0400 ./*_pgpass
chmod 0750 .
if [ "$(id -u)" -eq 0 ]; then
    chown -R 10001:10001 .
else
    echo "not root: give $(pwd) to user and group 10001 (chown -R 10001:10001)" >&2
fi
for name in proxy_certificate proxy_key prefect_logins seal_pin; do
    [ -e "$name" ] || echo "still missing: $name" >&2
done
