#!/bin/bash
# PostgreSQL 16.2: once a line that only a restart can undo is taken out of postgresql.conf, a look at pg_file_settings
# answers with one more row that has an error and neither a file, nor a line, nor a name: the parameter is named in the
# error's text only. Whoever takes the view's errors by file or by name loses this one. What else changed is still loaded.
#
# Seen: no file|no line|no name|f|parameter "max_worker_processes" cannot be changed without restarting the server
#
# Installs pgserver 0.1.4 from PyPI (it carries PostgreSQL 16.2) in a temporary folder and runs its server on a socket
# there. Exits 1 when the behaviour has changed.
set -euo pipefail

dir=$(mktemp -d)
ended() { "$bin/pg_ctl" -D "$dir/data" -s -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"; }
bin=/nonexistent
trap ended EXIT
python3 -m pip install --quiet --no-deps --target "$dir/packages" pgserver==0.1.4 2>/dev/null
bin=$(dirname "$(find "$dir/packages" -name initdb -type f | head -n 1)")
chmod -R go+rX "$dir"
as=()
if [[ $EUID == 0 ]]; then # PostgreSQL does not run as root
    chown -R nobody "$dir"
    as=(setpriv --reuid nobody --regid nogroup --clear-groups)
fi
"${as[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync >/dev/null
printf "listen_addresses = ''\nunix_socket_directories = '%s'\nmax_worker_processes = 9\nwork_mem = '5MB'\n" "$dir" >"$dir/data/postgresql.conf"
"${as[@]}" "$bin/pg_ctl" -D "$dir/data" -s -w -l "$dir/log" start
ask() { "$bin/psql" -h "$dir" -U postgres -d postgres -Atc "$1"; }
"${as[@]}" sed -i -e '/max_worker_processes/d' -e 's/5MB/6MB/' "$dir/data/postgresql.conf"
ask 'select pg_reload_conf()' >/dev/null
for _ in $(seq 100); do
    [[ $(ask 'show work_mem') == 6MB ]] && break
    sleep 0.1
done

echo "version: $(ask 'show server_version')"
rows=$(ask "select coalesce(sourcefile, 'no file'), coalesce(sourceline::text, 'no line'), coalesce(name, 'no name'), applied, error
            from pg_file_settings where error is not null")
echo "rows with an error: $rows"
echo "work_mem after the reload: $(ask 'show work_mem')"
[[ $rows == 'no file|no line|no name|f|parameter "max_worker_processes" cannot be changed without restarting the server' && $(ask 'show work_mem') == 6MB ]] || {
    echo 'the behaviour has changed' >&2
    exit 1
}
