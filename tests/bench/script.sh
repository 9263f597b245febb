#!/bin/sh
# The entry point of the bare recipe's servers. A volume is filled once; afterwards whether the server is a standby is
# said by standby.signal, as PostgreSQL itself has it.
set -eu
here=/etc/bench
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	if [ -n "${SEED:-}" ]; then
		pg_basebackup -h "$SEED" -U postgres -D "$PGDATA" --wal-method=stream --checkpoint=fast
		touch "$PGDATA/standby.signal"
	else
		initdb -D "$PGDATA" --username=postgres --pwfile="$here/password" --encoding=UTF8 --data-checksums
	fi
fi
exec postgres -D "$PGDATA" -c config_file="$here/postgresql.conf" -c hba_file="$here/pg_hba.conf"
