#!/bin/bash
# As the public image: the first start makes the database and runs /docker-entrypoint-initdb.d, on a
# server that only the socket reaches; then, and on every later start, the command is run.
set -euo pipefail

if [[ $EUID == 0 ]]; then
    mkdir -p "$PGDATA"
    chown postgres:postgres "$PGDATA"
    chmod 0700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

: "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"

initialise() {
    initdb --username="$POSTGRES_USER" --auth-local=trust --auth-host=scram-sha-256 \
        --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD must be set}")
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    pg_ctl start --wait --options="-c listen_addresses=''"
    local run=(psql --no-psqlrc -v ON_ERROR_STOP=1 --username="$POSTGRES_USER") file
    [[ $POSTGRES_DB == postgres ]] ||
        "${run[@]}" --dbname=postgres -v name="$POSTGRES_DB" <<<'create database :"name"'
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh) "$file" ;;
            *.sql) "${run[@]}" --dbname="$POSTGRES_DB" --file="$file" ;;
        esac
    done
    pg_ctl stop --wait --mode=fast
}

[[ ${1:-} != postgres || -s $PGDATA/PG_VERSION ]] || initialise
exec "$@"
