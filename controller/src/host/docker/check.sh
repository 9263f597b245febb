# Whether a server would start with two files, which come on the standard input, the second behind a mark. $1 is `altered`
# if what ALTER SYSTEM set counts too; $2 is how many members of the cluster share this host.
d=$(mktemp -d 2>/dev/null || mktemp -d -p "$(dirname "$PGDATA")") || exit 71
trap 'rm -rf "$d"' EXIT
say() { sed -e "s|$d/||g" -e "s|$d||g" "$1" >&2; }
ask() { postgres -D "$d/trial" -c config_file="$d/postgresql.conf" -C "$1" 2>/dev/null; }
touch "$d/postgresql.conf" "$d/pg_hba.conf" &&
	awk -v d="$d/" '/^#-- pg_hba.conf$/ {second = 1; next} {print >(d (second ? "pg_hba.conf" : "postgresql.conf"))}' || exit 71
auto=$d/none
: >"$auto"
[ "$1" = altered ] && [ -e "$PGDATA/postgresql.auto.conf" ] && auto=$PGDATA/postgresql.auto.conf
if ! [ -s "$PGDATA/global/pg_control" ]; then exit 71; fi
# It runs beside the server, within the same limits: as small as it can be. The sizes are reckoned below.
probe "$d/trial" "$d/postgresql.conf" "$d/pg_hba.conf" "$auto" -c shared_buffers=128kB -c wal_buffers=64kB \
	-c max_locks_per_transaction=10 -c min_dynamic_shared_memory=0 -c huge_pages=off
code=$?
if [ $code -ne 0 ]; then
	say "$d/trial.log"
	exit $code
fi
fail() {
	echo "FATAL:  $*" >&2
	exit 1
}
rm -f "$d/trial/postmaster.pid"
number() { awk -v name="$1" '$1 == name ":" {print $2}' /proc/meminfo; }
wanted=$(ask shared_memory_size)
total=$(($(number MemTotal) / 1024 + $(number SwapTotal) / 1024))
if [ "${wanted:-0}" -gt "$total" ] && [ "$(cat /proc/sys/vm/overcommit_memory)" != 1 ]; then
	fail "could not map anonymous shared memory: shared_buffers and what else is shared come to $wanted MB, and the host has $total MB"
fi
if grep -q '^huge_pages' "$d/postgresql.conf" "$auto" && [ "$(ask huge_pages)" = on ] && [ "$(ask huge_page_size)" = 0 ]; then
	pages=$(($(ask shared_memory_size_in_huge_pages) * $2))
	size=$(number Hugepagesize)
	own=$(awk '/anon_hugepage/ {found = 1} found && /^Size:/ {sum += $2; found = 0} END {print sum + 0}' /proc/1/smaps)
	free=$(($(number HugePages_Free) - $(number HugePages_Rsvd) + own / size * $2))
	[ "$pages" -le "$free" ] ||
		fail "huge_pages is on, for which the host needs $pages free huge pages of $size kB, and it has $free"
fi
# Only a session loads these, and a server that cannot load them lets nobody in.
libraries() {
	grep -q "^$1" "$d/postgresql.conf" "$auto" || return 0
	directory=$(pg_config --pkglibdir 2>/dev/null) || return 0
	path=$(ask dynamic_library_path)
	set -f
	for library in $(ask "$1" | tr ',"' '  '); do
		case $library in
		'$libdir'/*) places=$directory/${library#'$libdir/'} ;;
		*/*) places=$library ;;
		*)
			places=
			for part in $(echo "$path" | tr ':' ' '); do
				case $part in '$libdir'*) part=$directory${part#'$libdir'} ;; esac
				places="$places $part$2/$library"
			done
			;;
		esac
		found=
		for place in $places; do
			if [ -e "$place" ] || [ -e "$place.so" ]; then found=1; fi
		done
		[ -n "$found" ] || fail "could not access file \"$library\" of $1: no such file in $directory$2"
	done
	set +f
}
libraries session_preload_libraries ''
libraries local_preload_libraries /plugins
