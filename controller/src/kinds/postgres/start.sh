#!/bin/sh
# Written by reconciler: the entry point of every member. The role was decided before this container was
# started, and lies beside this script; the data directory's own opinion does not count.
# Exit codes: 78 no role was delivered, 79 a primary without data, 80 a damaged data directory, 81 seeding failed,
# 82 rewinding failed, 83 rewound: the volume is filled, and the server is started without the old one.
set -eu
here=/etc/reconciler
partial="$PGDATA.partial"
role=$(cat "$here/role" 2>/dev/null) || { echo "reconciler: no role was delivered; refusing to start" >&2; exit 78; }

# A container that comes back has the address of the one that died, and its neighbours ask for that only once a second.
# Any broadcast from here tells them all at once, and to look for a network's first address is one. Nobody listens on
# that port, and nobody waits for the answer. bash, which official images have, is quicker about it than a client of
# PostgreSQL's, and this runs beside the start that everybody waits for. It must end with 0: PostgreSQL, which inherits
# this child, would take anything else for a crash of one of its own.
announce() {
	while read -r _ net gateway _ _ _ _ mask _; do
		[ "$gateway" = 00000000 ] && [ "$mask" != 00000000 ] || continue
		last=${net%??????} third=${net#??} second=${net#????} first=${net#??????}
		third=${third%????} second=${second%??}
		first_address=$((0x$first)).$((0x$second)).$((0x$third)).$((0x$last | 1))
		bash -c 'echo >"/dev/udp/$0/9"' "$first_address" || pg_isready -q -t 1 -p 9 -h "$first_address" || true
	done 2>/dev/null </proc/net/route || true
}
(announce >/dev/null 2>&1; exit 0) &

has_data() { [ -s "$PGDATA/PG_VERSION" ] && [ -s "$PGDATA/global/pg_control" ]; }
is_empty() { [ ! -e "$PGDATA" ] || [ -z "$(ls -A "$PGDATA")" ]; }
# A data directory appears under its name only when it is whole: a kill at any instant leaves nothing half-made. What
# filled it has brought it to the disk; a sync of everything would wait for all that others write on this host.
put_in_place() { rmdir "$PGDATA" 2>/dev/null || true; mv "$partial" "$PGDATA"; sync "$(dirname "$PGDATA")"; }
# In the background and waited for: a shell that is process 1 answers a signal only while it waits.
run() {
	"$@" &
	child=$!
	trap 'kill "$child" 2>/dev/null; wait "$child" || true; exit 81' INT TERM
	wait "$child" || return 1
	trap - INT TERM
}
# What was copied of a primary makes a replica.
make_replica() {
	# Emptied, not removed: PostgreSQL complains of a missing one at every look at its settings.
	: >"$1/postgresql.auto.conf"
	rm -f "$1/recovery.signal"
	touch "$1/standby.signal"
}
# The old volume is mounted to be read only: whatever happens here, it stays as it was.
rewind() {
	old=/mnt/reconciler-old/$(basename "$PGDATA")
	[ -s "$old/global/pg_control" ] || { echo "reconciler: the old volume holds no data" >&2; return 1; }
	reflink=
	cp --help 2>&1 | grep -q -e --reflink && reflink=--reflink=auto
	run cp -a $reflink "$old" "$partial" || return 1
	rm -f "$partial/postmaster.pid" "$partial/standby.signal" "$partial/recovery.signal"
	: >"$partial/postgresql.auto.conf"
	run pg_rewind -D "$partial" --source-server="$(cat "$here/rewind")" --config-file="$here/postgresql.conf" \
		--progress >"$partial.log" 2>&1 || { cat "$partial.log" >&2; return 1; }
	cat "$partial.log" >&2
	# It says so of data that is ahead on one and the same timeline: as it is, that could never follow.
	if grep -q "no rewind required" "$partial.log"; then return 1; fi
	rm -rf "$partial"/pg_replslot/*
}

case $role in
bootstrap)
	if ! has_data; then
		is_empty || { echo "reconciler: $PGDATA is damaged; refusing to initialise over it" >&2; exit 80; }
		rm -rf "$partial"
		initdb -D "$partial" --username=postgres --pwfile="$here/superuser.password" --encoding=UTF8 \
			--auth-local=peer --auth-host=scram-sha-256 --data-checksums
		put_in_place
	fi
	;;
primary)
	has_data || { echo "reconciler: $PGDATA holds no data; a primary is never initialised empty" >&2; exit 79; }
	rm -f "$PGDATA/standby.signal" "$PGDATA/recovery.signal"
	;;
replica)
	if ! has_data; then
		is_empty || { echo "reconciler: $PGDATA is damaged; it has to be seeded into a new volume" >&2; exit 80; }
		rm -rf "$partial" "$partial.log"
		run pg_basebackup -d "$(cat "$here/source")" -D "$partial" --slot="$(cat "$here/slot")" \
			--wal-method=stream --checkpoint=fast --no-password ||
			{ echo "reconciler: seeding failed" >&2; exit 81; }
		make_replica "$partial"
		put_in_place
	fi
	touch "$PGDATA/standby.signal"
	rm -f "$PGDATA/recovery.signal"
	;;
rewind)
	if ! has_data; then
		is_empty || { echo "reconciler: $PGDATA is damaged; it has to be seeded into a new volume" >&2; exit 80; }
		rm -rf "$partial" "$partial.log"
		rewind || { echo "reconciler: rewinding failed" >&2; exit 82; }
		make_replica "$partial"
		put_in_place
		rm -f "$partial.log"
	fi
	exit 83
	;;
*)
	echo "reconciler: unknown role '$role'; refusing to start" >&2
	exit 78
	;;
esac
exec docker-entrypoint.sh postgres -c config_file="$here/postgresql.conf"
