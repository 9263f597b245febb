#!/bin/sh
# Written by reconciler: the entry point of every member. The role was decided before this container was
# started, and lies beside this script; the data directory's own opinion does not count.
# Exit codes: 78 no role was delivered, 79 a primary without data, 80 a damaged data directory, 81 seeding failed,
# 82 rewinding failed, 83 rewound: the volume is filled, and the server is started without the old one, 84 a script of the
# manifest's failed.
set -eu
here=/etc/reconciler
partial="$PGDATA.partial"
mount=$(dirname "$PGDATA")
# The first line is the role, the others what comes with it.
told=$(cat "$here/role" 2>/dev/null) || { echo "reconciler: no role was delivered; refusing to start" >&2; exit 78; }
role=${told%%"
"*}
comes_with() { case "$told" in *"
$1"*) return 0 ;; *) return 1 ;; esac; }

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
put_in_place() { rmdir "$PGDATA" 2>/dev/null || true; mv "$partial" "$PGDATA"; rm -f "$partial.begun"; sync "$mount"; }
# In the background and waited for: a shell that is process 1 answers a signal only while it waits.
run() {
	"$@" &
	child=$!
	trap 'kill "$child" 2>/dev/null; wait "$child" || true; exit 81' INT TERM
	wait "$child" || return 1
	trap - INT TERM
}
# What a copy that was cut off has left behind. Tablespaces are copied to where they belong and not into the partial
# directory; where there was no directory when the first copy began, all that are there come from copies.
clear_away() {
	rm -rf "$partial" "$partial.log"
	rmdir "$PGDATA" 2>/dev/null || true
	if [ -e "$partial.begun" ]; then
		find "$mount" -mindepth 1 -maxdepth 1 -type d ! -name lost+found -exec rm -rf {} +
	elif [ -z "$(find "$mount" -mindepth 1 -maxdepth 1 -type d ! -name lost+found)" ]; then
		: >"$partial.begun"
	fi
}
# Tablespaces in the old volume, for which links in the copied data directory stand.
copy_tablespaces() {
	for link in "$partial"/pg_tblspc/*; do
		[ -L "$link" ] || continue
		place=$(readlink "$link")
		case $place in
		"$PGDATA"/* | */../*) echo "reconciler: tablespace $place is not copied" >&2; return 1 ;;
		"$mount"/*)
			mkdir -p "$(dirname "$place")"
			run cp -a $reflink "/mnt/reconciler-old/${place#"$mount"/}" "$place" || return 1
			;;
		*) echo "reconciler: tablespace $place lies outside of the volume" >&2; return 1 ;;
		esac
	done
}
# Where the directory of a new tablespace is missing, a standby stops replaying.
make_tablespaces() {
	[ -f "$here/tablespaces" ] || return 0
	while read -r place; do
		[ -e "$place" ] || mkdir -p "$place" || true
	done <"$here/tablespaces"
}
# How the data is made: as the manifest says, else as ever. PostgreSQL up to 17 makes no checksums unasked.
initialise() {
	set --
	if comes_with initdb; then
		while IFS= read -r argument; do
			case $argument in
			--no-data-checksums) initdb --help | grep -q -e --no-data-checksums || continue ;;
			esac
			set -- "$@" "$argument"
		done <"$here/initdb"
	else
		set -- --encoding=UTF8 --data-checksums
	fi
	initdb -D "$partial" --username=postgres --pwfile="$here/superuser.password" \
		--auth-local=peer --auth-host=scram-sha-256 "$@"
}
# One script of the manifest's. A script ends at its first error.
one_script() {
	case $1 in
	*.sh) PGDATA=$partial POSTGRES_USER=postgres POSTGRES_DB=postgres bash "$here/$1" ;;
	*.sql.gz) base64 -d "$here/$1" >/tmp/reconciler.gz && gunzip -c /tmp/reconciler.gz >/tmp/reconciler.sql &&
		psql -X -v ON_ERROR_STOP=1 --no-password -d postgres -f /tmp/reconciler.sql ;;
	*) psql -X -v ON_ERROR_STOP=1 --no-password -d postgres -f "$here/$1" ;;
	esac
}
# In a server that nobody else reaches, of data that does not count yet: whatever ends this early, all of it is done again.
run_scripts() {
	printf 'local all all trust\n' >/tmp/reconciler.hba
	pg_ctl -D "$partial" -s -w -t 600 -o "-c config_file=$here/postgresql.conf -c hba_file=/tmp/reconciler.hba \
		-c listen_addresses= -c archive_mode=off" start || return 1
	while IFS= read -r script; do
		echo "reconciler: $script runs" >&2
		one_script "$script" </dev/null >"$partial.log" 2>&1 || {
			cat "$partial.log" >&2
			why=$(grep -m 1 -i error "$partial.log" || tail -n 1 "$partial.log")
			pg_ctl -D "$partial" -s -m immediate stop
			echo "reconciler: the script ${script#*/} failed: $why" >&2
			return 1
		}
		cat "$partial.log" >&2
	done <"$here/scripts"
	pg_ctl -D "$partial" -s -w -t 600 -m fast stop
}
# What was copied of a primary makes a replica.
make_replica() {
	# Emptied, not removed: PostgreSQL complains of a missing one at every look at its settings.
	: >"$1/postgresql.auto.conf"
	rm -f "$1/recovery.signal" "$1/postgresql.auto.conf.set-aside"
	touch "$1/standby.signal"
}
# The old volume is mounted to be read only: whatever happens here, it stays as it was.
rewind() {
	old=/mnt/reconciler-old/$(basename "$PGDATA")
	[ -s "$old/global/pg_control" ] || { echo "reconciler: the old volume holds no data" >&2; return 1; }
	reflink=
	cp --help 2>&1 | grep -q -e --reflink && reflink=--reflink=auto
	run cp -a $reflink "$old" "$partial" || return 1
	copy_tablespaces || return 1
	rm -f "$partial/postmaster.pid" "$partial/standby.signal" "$partial/recovery.signal"
	: >"$partial/postgresql.auto.conf"
	run pg_rewind -D "$partial" --source-server="$(cat "$here/rewind")" --config-file="$here/postgresql.conf" \
		--progress >"$partial.log" 2>&1 || { cat "$partial.log" >&2; return 1; }
	cat "$partial.log" >&2
	# It says so of data that is ahead on one and the same timeline: as it is, that could never follow.
	if grep -q "no rewind required" "$partial.log"; then return 1; fi
	rm -rf "$partial"/pg_replslot/*
}

#probe#
comes_far() { probe "$PGDATA.probe" "$here/postgresql.conf" "$here/pg_hba.conf" "$1"; }
# Of what ALTER SYSTEM has set, the lines that it has no say in go to one file and the rest to another: names that are the
# agent's alone, and those that $1 sets.
sort_out() {
	awk -v refused='#refused#' -v aside="$PGDATA.aside" '
		BEGIN {count = split(refused, names, " "); for (i = 1; i <= count; i++) ours[names[i]] = 1}
		FILENAME != ARGV[2] {if ($2 == "=") ours[$1] = 1; next}
		{name = tolower($1); sub(/=.*/, "", name)}
		/^#/ || NF == 0 {next}
		name in ours {print >aside; next}
		{print}' "$1" "$auto" >"$PGDATA.kept"
}
# The lines with which no server comes as far as without them go too. A copy of all that goes stays beside the file.
set_aside() {
	rm -f "$PGDATA.aside"
	sort_out "$1" || return 1
	if [ -n "$2" ] && ! comes_far "$PGDATA.kept" && comes_far /dev/null; then
		mv "$PGDATA.kept" "$PGDATA.rest"
		: >"$PGDATA.kept"
		while IFS= read -r line; do
			{ cat "$PGDATA.kept" && printf '%s\n' "$line"; } >"$PGDATA.more"
			if comes_far "$PGDATA.more"; then mv "$PGDATA.more" "$PGDATA.kept"; else printf '%s\n' "$line" >>"$PGDATA.aside"; fi
		done <"$PGDATA.rest"
	fi
	[ -s "$PGDATA.aside" ] || return 0
	cat "$PGDATA.aside" >>"$auto.set-aside"
	sed 's/^/reconciler: set aside of what ALTER SYSTEM has set: /' "$PGDATA.aside" >&2
	mv "$PGDATA.kept" "$auto"
	sync "$PGDATA"
}

case $role in
bootstrap)
	if ! has_data; then
		is_empty || { echo "reconciler: $PGDATA is damaged; refusing to initialise over it" >&2; exit 80; }
		rm -rf "$partial" "$partial.log"
		initialise
		if comes_with scripts; then
			run run_scripts || exit 84
			rm -f "$partial.log"
		fi
		put_in_place
	fi
	;;
primary)
	has_data || { echo "reconciler: $PGDATA holds no data; a primary is never initialised empty" >&2; exit 79; }
	rm -f "$PGDATA/standby.signal" "$PGDATA/recovery.signal" "$partial.begun"
	;;
replica)
	if ! has_data; then
		is_empty || { echo "reconciler: $PGDATA is damaged; it has to be seeded into a new volume" >&2; exit 80; }
		clear_away
		run pg_basebackup -d "$(cat "$here/source")" -D "$partial" --slot="$(cat "$here/slot")" \
			--wal-method=stream --checkpoint=fast --no-password ||
			{ echo "reconciler: seeding failed" >&2; exit 81; }
		make_replica "$partial"
		put_in_place
	fi
	rm -f "$partial.begun"
	make_tablespaces
	touch "$PGDATA/standby.signal"
	rm -f "$PGDATA/recovery.signal"
	;;
rewind)
	if ! has_data; then
		is_empty || { echo "reconciler: $PGDATA is damaged; it has to be seeded into a new volume" >&2; exit 80; }
		clear_away
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
# What ALTER SYSTEM has set overrules our file, stands in the volume, and only a server that runs can take it back. Where the
# last start failed it is looked into whether that is why.
auto=$PGDATA/postgresql.auto.conf
mark=$(cat "$here/suspicion" 2>/dev/null || true)
if grep -q '^[^#]' "$auto" 2>/dev/null; then
	if [ -n "$mark" ] && [ "$mark" != "$(cat "$PGDATA.suspicion" 2>/dev/null)" ]; then
		printf %s "$mark" >"$PGDATA.suspicion"
		set_aside "$here/postgresql.conf" "$mark" || echo "reconciler: what ALTER SYSTEM has set could not be looked into" >&2
	else
		set_aside /dev/null '' || true
	fi
	rm -rf "$PGDATA.probe" "$PGDATA.probe.log" "$PGDATA.kept" "$PGDATA.aside" "$PGDATA.rest" "$PGDATA.more"
fi
exec docker-entrypoint.sh postgres -c config_file="$here/postgresql.conf"
