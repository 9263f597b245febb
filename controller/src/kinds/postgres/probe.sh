# How far a server gets with a configuration: its own program starts in directory $1, which has this data's control file and
# none of its log, with files $2 (postgresql.conf), $3 (pg_hba.conf) and $4 (what ALTER SYSTEM set); options follow. It
# reads the files, loads libraries, certificates and host rules, takes its memory, and ends where it would begin to look
# at the data. What it says is in $1.log; 0: it came that far. No data and no client is ever touched by it.
probe() {
	place=$1 conf=$2 hba=$3 altered=$4
	shift 4
	rm -rf "$place" && mkdir -m 700 "$place" && cp "$altered" "$place/postgresql.auto.conf" || return 71
	for part in base global pg_commit_ts pg_dynshmem pg_logical pg_multixact pg_multixact/members pg_multixact/offsets \
		pg_notify pg_replslot pg_serial pg_snapshots pg_stat pg_stat_tmp pg_subtrans pg_tblspc pg_twophase pg_xact; do
		mkdir "$place/$part" || return 71
	done
	cp "$PGDATA/PG_VERSION" "$place/" && cp "$PGDATA/global/pg_control" "$place/global/" || return 71
	# What somebody has put beside the data, such as a certificate.
	for file in "$PGDATA"/*; do
		name=${file##*/}
		case $name in
		pg_wal | pg_hba.conf | postmaster.* | *.signal | backup_label* | tablespace_map* | current_logfiles) ;;
		*) [ -e "$place/$name" ] || ln -s "$file" "$place/$name" || return 71 ;;
		esac
	done
	rm -f "$place/pg_wal"
	(
		ulimit -c 0
		LC_ALL=C exec timeout 30 postgres -D "$place" -c config_file="$conf" -c hba_file="$hba" -c listen_addresses= \
			-c unix_socket_directories="$place" -c logging_collector=off -c log_destination=stderr \
			-c log_min_messages=warning -c log_line_prefix= -c lc_messages=C -c dynamic_shared_memory_type=mmap "$@"
	) >"$place.log" 2>&1
	grep -q 'required WAL directory' "$place.log" && return 0
	# Of these the configuration is innocent.
	if grep -q -e 'control file' -e 'No space left' "$place.log"; then return 71; fi
	grep -q -e FATAL: -e PANIC: "$place.log" || return 71
	return 1
}
