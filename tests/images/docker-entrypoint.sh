#!/bin/bash
# Entrypoint of the stand-in images that tests/images/get builds where no registry answers.
# It keeps the contract that the official postgres image documents, no more: what it would
# accept beyond that, the tests would stop noticing.
set -Eeuo pipefail

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# value NAME [DEFAULT]: NAME comes from the environment, else from the file that NAME_FILE names.
# Called while still root, so a secret may be readable by root alone; exported, so it survives
# the second run of this script as postgres, and the _FILE variable is gone by then.
value() {
    local name=$1 file=${1}_FILE
    if [[ -n ${!name:-} && -n ${!file:-} ]]; then
        die "$name and $file exclude each other, both are set"
    elif [[ -n ${!name:-} ]]; then
        :
    elif [[ -n ${!file:-} ]]; then
        # Declared on its own: `printf -v x "$(...)"` would hide that the file cannot be read.
        local content
        content=$(<"${!file}")
        printf -v "$name" %s "$content"
    else
        printf -v "$name" %s "${2:-}"
    fi
    export "${name?}"
    unset "$file"
}

# Options with which postgres prints something and ends: they need no data directory.
only_prints() {
    local arg
    for arg in "$@"; do
        case $arg in
            -\? | --help | --version | -V | --describe-config) return 0 ;;
        esac
    done
    return 1
}

prepare_directories() {
    mkdir -p "$PGDATA"
    # Allowed to fail: a directory of another owner, a file system without modes. postgres
    # itself says what it will not accept.
    chmod 700 "$PGDATA" || true
    mkdir -p /var/run/postgresql || true
    chmod 3775 /var/run/postgresql || true
    if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
        mkdir -p "$POSTGRES_INITDB_WALDIR"
        chmod 700 "$POSTGRES_INITDB_WALDIR"
    fi
    if ((EUID == 0)); then
        # Only what belongs to someone else: chown of every file would touch every inode of a
        # large database on every start.
        find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
            ! -user postgres -exec chown postgres {} +
    fi
}

# From 18 on the volume is /var/lib/postgresql. Data of an older major, or a mount where it used
# to be, means that someone is about to get an empty database in place of theirs.
refuse_old_layout() {
    [[ $PGDATA == "/var/lib/postgresql/$PG_MAJOR/docker" ]] || return 0
    local dir
    for dir in /var/lib/postgresql /var/lib/postgresql/data /var/lib/postgresql/*/docker; do
        if [[ -s $dir/PG_VERSION ]]; then
            die "there is PostgreSQL data in $dir, but PGDATA is $PGDATA: mount the volume at /var/lib/postgresql and upgrade with pg_upgrade"
        fi
    done
    if ((PG_MAJOR >= 18)) && mountpoint -q /var/lib/postgresql/data; then
        die "a volume is mounted at /var/lib/postgresql/data, where PostgreSQL $PG_MAJOR would not use it: mount it at /var/lib/postgresql"
    fi
}

sql() {
    # PGHOST and PGHOSTADDR emptied: only the socket is this server for sure.
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password \
        --username "$POSTGRES_USER" --dbname "$@"
}

run_init_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh)
                echo "entrypoint: $file"
                # Not executable means "to be sourced" (a file of a ConfigMap, a bind mount
                # from a file system without modes).
                if [[ -x $file ]]; then "$file"; else . "$file"; fi
                ;;
            *.sql) echo "entrypoint: $file" && sql "$POSTGRES_DB" -f "$file" ;;
            *.sql.gz) echo "entrypoint: $file" && gunzip -c "$file" | sql "$POSTGRES_DB" ;;
            '/docker-entrypoint-initdb.d/*') ;; # the directory is empty
            *) echo "entrypoint: $file ignored" ;;
        esac
    done
}

# initialise ARGS: ARGS are the server's, since they may name another config_file.
initialise() {
    if [[ ${POSTGRES_HOST_AUTH_METHOD:-} == trust ]]; then
        echo 'warning: POSTGRES_HOST_AUTH_METHOD=trust lets everyone in without a password' >&2
    elif [[ -z $POSTGRES_PASSWORD ]]; then
        die 'the data directory is empty and there is no superuser password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE (or POSTGRES_HOST_AUTH_METHOD=trust)'
    fi
    refuse_old_layout
    # Readable at all? Better found out now than with a half initialised directory.
    ls /docker-entrypoint-initdb.d >/dev/null

    # POSTGRES_INITDB_ARGS is shell text by contract (quotes work in it), hence eval. The password
    # goes over a pipe: never on a command line. A lone newline is what initdb takes as "none".
    local waldir=()
    [[ -z ${POSTGRES_INITDB_WALDIR:-} ]] || waldir=(--waldir "$POSTGRES_INITDB_WALDIR")
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"' "${waldir[@]}"'

    local method=${POSTGRES_HOST_AUTH_METHOD:-}
    [[ -n $method ]] || method=$(postgres -C password_encryption "$@")
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

    # A server for the socket only: nobody may connect before the scripts have run, or a health
    # check over TCP would call this one ready.
    local options
    options=$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")
    # Needed when POSTGRES_INITDB_ARGS asks for passwords on the socket too.
    export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
    NOTIFY_SOCKET='' PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -o "$options" -w start

    if [[ $(sql postgres -At -v db="$POSTGRES_DB" <<<"SELECT count(*) FROM pg_database WHERE datname = :'db'") == 0 ]]; then
        sql postgres -v db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
    fi
    run_init_files

    PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    # Word for word: scripts wait for this line.
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

if [[ ${1:-} == -* ]]; then
    set -- postgres "$@"
fi

if [[ ${1:-} == postgres ]] && ! only_prints "$@"; then
    # On every start, not only the first: a password file that has gone is an error on a restart
    # too. POSTGRES_HOST_AUTH_METHOD has no _FILE variant.
    value POSTGRES_PASSWORD
    value POSTGRES_USER postgres
    value POSTGRES_DB "$POSTGRES_USER"
    value POSTGRES_INITDB_ARGS
    prepare_directories
    if ((EUID == 0)); then
        # exec, and later exec again: postgres has to be PID 1 to get the engine's signals.
        HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups \
            "${BASH_SOURCE[0]}" "$@"
    fi
    if [[ -s $PGDATA/PG_VERSION ]]; then
        printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
    else
        initialise "${@:2}"
    fi
fi

exec "$@"
