-- All that is asked of a server in every pass, as one JSON text, so that a pass costs one round trip. For PostgreSQL 15
-- and later, primaries and standbys. $1 is a JSON text: {"directory": ..., "files": [...], "sizes": ..., "mark": [timeline,
-- position] or null, "pages": [[timeline, address of a page of the log], ...]}.
with asked as materialized (
    select $1::text::jsonb as question
),
-- Evaluated once: a promotion in the middle of this statement must not give half an answer of each kind.
server as materialized (
    select pg_is_in_recovery() as in_recovery, pg_conf_load_time() as loaded
),
receiver as materialized (
    select status, received_tli from pg_stat_wal_receiver
),
position as materialized (
    select in_recovery,
           case when in_recovery then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end as lsn,
           case when in_recovery then pg_last_wal_receive_lsn() end as receive_lsn
    from server
),
-- The segment that holds the last byte that a standby has, in the way that its files are named (without the timeline).
segment as (
    select lpad(upper(to_hex(byte >> 32)), 8, '0')
           || lpad(upper(to_hex((byte & 4294967295) / pg_size_bytes(current_setting('wal_segment_size')))), 8, '0') as name
    from position, lateral (select (greatest(lsn, receive_lsn) - '0/1'::pg_lsn)::bigint as byte) last
),
-- A standby without a receiver says nowhere which timeline it has followed: its control file is older than its replay.
-- The newest timeline of which it has a file with its position in it is the one.
timeline as materialized (
    select case
        when not in_recovery then ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::int
        else coalesce(
            (select received_tli from receiver),
            greatest(
                (select timeline_id from pg_control_checkpoint()),
                (select min_recovery_end_timeline from pg_control_recovery()),
                (select max(('x' || left(file, 8))::bit(32)::int)
                 from segment, pg_ls_dir('pg_wal') as file
                 where file = left(file, 8) || segment.name)))
        end as id
    from position
),
history as (
    select format('pg_wal/%s.history', lpad(upper(to_hex(id)), 8, '0')) as path
    from timeline
),
-- How far the log is on the primary's disk, and the mark that was asked for: where the page with the last byte before them
-- begins, and what precedes them on it without the page's header. A header alone is no content: then it is the page before.
flushed as materialized (
    select id as timeline, (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint as lsn, false as is_asked
    from timeline, server
    where not in_recovery
    union all
    select (question -> 'mark' ->> 0)::int, (question -> 'mark' ->> 1)::bigint, true
    from asked, server
    where not in_recovery and question ->> 'mark' is not null
),
mark as materialized (
    select timeline, is_asked, lsn, encode(sha256(substring(pg_read_binary_file(
        format('pg_wal/%s%s%s', lpad(upper(to_hex(timeline)), 8, '0'), lpad(upper(to_hex(page >> 32)), 8, '0'),
               lpad(upper(to_hex((page & 4294967295) / segment)), 8, '0')),
        page % segment, lsn - page, true) from 25)), 'hex') as hash
    from (select timeline, is_asked, lsn - lsn % 8192 - case when lsn % 8192 = 0 then 8192 else 0 end as page, lsn
          from (select timeline, is_asked,
                       case when (lsn - 1) % 8192 < 40 then lsn - (lsn - 1) % 8192 - 1 else lsn end as lsn
                from flushed) as beside) as begun,
         pg_size_bytes(current_setting('wal_segment_size')) as segment
    where page >= 0
),
page as materialized (
    select timeline, at, encode(pg_read_binary_file(
        format('pg_wal/%s%s%s', lpad(upper(to_hex(timeline)), 8, '0'), lpad(upper(to_hex(at >> 32)), 8, '0'),
               lpad(upper(to_hex((at & 4294967295) / segment)), 8, '0')),
        at % segment, 8192, true), 'hex') as bytes
    from (select (value ->> 0)::int as timeline, (value ->> 1)::bigint as at
          from asked, jsonb_array_elements(question -> 'pages')) as wanted,
         pg_size_bytes(current_setting('wal_segment_size')) as segment
),
file as materialized (
    select name, directory || '/' || name as path, size, change
    from (select question ->> 'directory' as directory, jsonb_array_elements_text(question -> 'files') as name
          from asked) as delivered,
         lateral pg_stat_file(directory || '/' || name, true)
    where size is not null
),
content as materialized (
    select name, bytes, substring(bytes from 1 for greatest(position(mark in bytes) - 1, 0)) as body, mark
    from (select name, pg_read_binary_file(path, 0, size, true) as bytes from file) as read,
         convert_to(E'\n# reconciler ', 'UTF8') as mark
    where bytes is not null
),
setting as materialized (
    select sourcefile, sourceline, seqno, name, setting, error
    from pg_file_settings
    -- Of a line that was taken out and needs a restart it says no name: what runs tells that.
    where error is not null and sourcefile is not null
       or sourcefile like '%/postgresql.auto.conf'
       or sourcefile = (select question ->> 'directory' from asked) || '/postgresql.conf'
),
ours as materialized (
    select lower(name) as name, setting
    from setting
    where sourcefile = (select question ->> 'directory' from asked) || '/postgresql.conf' and name is not null
),
waiting as materialized (
    select name, context, pending_restart, setting, unit, vartype, source,
           coalesce(sourcefile = (select question ->> 'directory' from asked) || '/postgresql.conf', false) as is_ours
    from pg_settings
    where pending_restart or lower(name) in (select lower(name) from setting)
),
-- File times have whole seconds. A file that changed in the very second of the last load counts as loaded: else every
-- start and every delivery would be followed by a needless reload. For that second alone `reconciler.revision` tells: a new
-- session shows the postmaster's, another one what it found itself at its first command after the last reload.
changed as materialized (
    select coalesce(bool_or(change > date_trunc('second', loaded)
        or change = date_trunc('second', loaded)
            and exists (select from setting as ours
                        where ours.name = 'reconciler.revision'
                          and ours.sourcefile = directory || '/postgresql.conf'
                          and ours.setting is distinct from current_setting('reconciler.revision', true))), false)
        as since_load
    from file, server, (select question ->> 'directory' as directory from asked) as place
    where file.name in ('postgresql.conf', 'pg_hba.conf')
),
-- What keeps the server from loading the file at all: an error of syntax, or a parameter that it does not know.
-- Reloading again is of no use then, and would be tried for ever.
hopeless as (
    select from setting left join waiting using (name) where error is not null and context is null
),
-- What is being seeded streams under a name of its own.
stream as (
    select regexp_replace(application_name, '\.seed$', '') as application_name, state, replay_lsn, flush_lsn, sync_state,
           backend_start
    from pg_stat_replication
),
-- Columns that only later versions have are looked for in the row as JSON.
slot as materialized (
    select slot_name, slot_type, plugin, database, active, temporary, wal_status, safe_wal_size, confirmed_flush_lsn,
           coalesce(greatest(pg_wal_lsn_diff(position.lsn, restart_lsn), 0), 0)::bigint as held_bytes,
           coalesce(whole ->> 'invalidation_reason',
                    case when (whole ->> 'conflicting')::bool then 'conflict' end, '') as invalidation,
           coalesce((whole ->> 'failover')::bool, false) as failover,
           coalesce((whole ->> 'synced')::bool, false) as synced
    from pg_replication_slots as slots, lateral to_jsonb(slots) as whole, position
),
standby as (
    select distinct on (application_name)
           application_name, state, coalesce(replay_lsn, '0/0') as replay_lsn,
           coalesce(flush_lsn, '0/0') as flush_lsn, sync_state
    from stream
    -- The log stream of a base backup shows as `streaming` under the standby's name, but it never replays.
    where state <> 'streaming' or replay_lsn is not null
    order by application_name, replay_lsn is null, state = 'backup' desc, backend_start desc
)
select jsonb_build_object(
    'system_identifier', (select system_identifier::text from pg_control_system()),
    'in_recovery', in_recovery,
    'timeline', (select id from timeline),
    'checkpoint_due', not in_recovery
        and (select id from timeline) > (select timeline_id from pg_control_checkpoint()),
    'lsn', coalesce(lsn, '0/0'),
    'receive_lsn', coalesce(receive_lsn, '0/0'),
    'flush_lsn', coalesce((select '0/0'::pg_lsn + lsn from flushed where not is_asked), '0/0'),
    'mark', (select jsonb_build_object('timeline', timeline, 'lsn', '0/0'::pg_lsn + lsn, 'hash', hash)
             from mark where not is_asked and hash is not null),
    'hash_asked', (select hash from mark where is_asked),
    'pages', coalesce((select jsonb_agg(jsonb_build_array(timeline, at, bytes)) from page where bytes is not null), '[]'),
    'segment_bytes', pg_size_bytes(current_setting('wal_segment_size')),
    'min_recovery_lsn', case when in_recovery then (select min_recovery_end_lsn from pg_control_recovery())
        else '0/0' end,
    'sync_names', current_setting('synchronous_standby_names'),
    'replay_paused', case when in_recovery then pg_get_wal_replay_pause_state() <> 'not paused' else false end,
    'receiver_streaming', exists (select from receiver where status = 'streaming'),
    'replay_lag_secs', case when in_recovery and receive_lsn > lsn
        then coalesce(greatest(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::bigint, 0), 0)
        else 0 end,
    'version', current_setting('server_version_num')::int,
    'file_hashes', coalesce((
        select jsonb_object_agg(name, encode(sha256(bytes), 'hex')) from content), '{}'),
    'files_edited', coalesce((
        select jsonb_agg(name)
        from content
        where position(mark in bytes) > 0
          and bytes <> body || mark || convert_to(left(encode(sha256(body), 'hex'), 12) || E'\n', 'UTF8')), '[]'),
    'reload_due', (select since_load from changed) and not exists (select from hopeless),
    'pending_restart', coalesce((select jsonb_agg(name order by name) from waiting where pending_restart), '[]'),
    -- An extension's parameter that nobody has loaded is not in pg_settings.
    'running', coalesce((
        select jsonb_object_agg(coalesce(ours.name, lower(waiting.name)), jsonb_build_array(
            ours.setting, coalesce(waiting.setting, current_setting(ours.name, true), ''), coalesce(unit, ''),
            coalesce(vartype, 'string'), coalesce(context, 'user'), coalesce(source, 'default'),
            coalesce(is_ours, true), coalesce(pending_restart, false)))
        from ours full join (
            select * from waiting where pending_restart or lower(name) in (select name from ours)) as waiting
            on lower(waiting.name) = ours.name
        where ours.name is distinct from 'reconciler.revision'), '{}'),
    'set_aside', coalesce(pg_read_file('postgresql.auto.conf.set-aside', 0, 2000, true), ''),
    'holds', (select jsonb_build_array(
        count(*), count(*) filter (where slot_type = 'logical'), (select count(*) from pg_prepared_xacts))
        from pg_replication_slots where not temporary),
    'auto_conf', coalesce((
        select jsonb_object_agg(name, setting order by seqno)
        from setting
        where sourcefile like '%/postgresql.auto.conf' and name is not null), '{}'),
    'standby_floor', (
        select jsonb_object_agg(name, current_setting(name)::bigint)
        from unnest(array['max_connections', 'max_locks_per_transaction', 'max_prepared_transactions',
                          'max_replication_slots', 'max_wal_senders', 'max_worker_processes']) as name),
    -- Some majors have defaults of their own.
    'floor_defaults', case when (select (question ->> 'sizes')::bool from asked) then (
        select jsonb_object_agg(name, boot_val::bigint)
        from pg_settings
        where name in ('max_connections', 'max_locks_per_transaction', 'max_prepared_transactions',
                       'max_wal_senders', 'max_worker_processes')) else '{}' end,
    -- A parameter that needs a restart shows as an error too, but is none: before the reload nobody can tell, after it
    -- pending_restart does.
    'setting_errors', coalesce((
        select jsonb_agg(concat_ws(' ', sourcefile, 'line ' || sourceline || ':', name, error) order by seqno)
        from setting left join waiting using (name), changed
        where error is not null
          and not coalesce(pending_restart or (context = 'postmaster' and since_load), false)), '[]'),
    -- Asking for the rules of a missing file is an error.
    'hba_errors', case when exists (select from file where name = 'pg_hba.conf') then coalesce((
        select jsonb_agg(concat_ws(' ', 'pg_hba.conf', 'line ' || line_number || ':', error) order by line_number)
        from pg_hba_file_rules
        where error is not null and type is null), '[]') else '[]' end,
    -- What it says of a line that it takes all the same, such as that it never applies.
    'hba_remarks', case when exists (select from file where name = 'pg_hba.conf') then coalesce((
        select jsonb_agg(concat_ws(' ', 'pg_hba.conf', 'line ' || line_number || ':', error) order by line_number)
        from pg_hba_file_rules
        where error is not null and type is not null), '[]') else '[]' end,
    'standbys', coalesce((
        select jsonb_object_agg(application_name, to_jsonb(standby) - 'application_name') from standby), '{}'),
    'receivers', coalesce((
        select jsonb_agg(jsonb_build_object(
            'pid', sender.pid, 'name', application_name, 'role', coalesce(usename, ''),
            'address', coalesce(host(client_addr), ''), 'state', state, 'slot', coalesce(slot_name, ''),
            'is_logical', coalesce(slot_type = 'logical', false), 'sent_lsn', coalesce(sent_lsn, '0/0'),
            'confirmed_lsn', coalesce(flush_lsn, write_lsn, '0/0'),
            'reply_secs', greatest(extract(epoch from clock_timestamp() - reply_time)::bigint, 0)) order by sender.pid)
        from pg_stat_replication as sender left join pg_replication_slots on active_pid = sender.pid), '[]'),
    'slots', coalesce((
        select jsonb_object_agg(slot_name, jsonb_build_object(
            'active', active, 'wal_status', coalesce(wal_status, ''), 'held_bytes', held_bytes,
            'safe_bytes', safe_wal_size, 'invalidation', invalidation))
        from slot
        where slot_type = 'physical'), '{}'),
    'logical', coalesce((
        select jsonb_object_agg(slot_name, jsonb_build_object(
            'plugin', coalesce(plugin, ''), 'database', coalesce(database, ''), 'active', active, 'temporary', temporary,
            'failover', failover, 'synced', synced,
            'invalidation', case when invalidation = '' and wal_status = 'lost' then 'wal_removed' else invalidation end,
            'confirmed_lsn', coalesce(confirmed_flush_lsn, '0/0'), 'held_bytes', held_bytes))
        from slot
        where slot_type = 'logical'), '{}'),
    'standby_slots', coalesce(current_setting('synchronized_standby_slots', true), ''),
    'base_backups', coalesce((
        select jsonb_object_agg(regexp_replace(application_name, '\.seed$', ''), jsonb_build_array(backup_streamed, coalesce(backup_total, 0)))
        from pg_stat_progress_basebackup join pg_stat_activity using (pid)), '{}'),
    'roles', (
        select jsonb_object_agg(rolname, jsonb_build_object(
            'attributes', jsonb_build_object(
                'login', rolcanlogin, 'superuser', rolsuper, 'createdb', rolcreatedb, 'createrole', rolcreaterole,
                'replication', rolreplication, 'connection_limit', rolconnlimit),
            'verifier', rolpassword,
            'has_expired', coalesce(rolvaliduntil < now(), false),
            'member_of', coalesce((
                select jsonb_agg(distinct granted.rolname)
                from pg_auth_members join pg_authid as granted on granted.oid = roleid
                where member = role.oid), '[]')))
        from pg_authid as role
        where rolname not like 'pg\_%'),
    'tablespaces', coalesce((
        select jsonb_object_agg(spcname, pg_tablespace_location(oid))
        from pg_tablespace
        where pg_tablespace_location(oid) <> ''), '{}'),
    'maintenance', coalesce((
        select case when datallowconn then 'Fine' else 'Closed' end from pg_database where datname = 'postgres'), 'Missing'),
    'databases', (
        select jsonb_object_agg(datname, pg_get_userbyid(datdba)) from pg_database where not datistemplate),
    'history', coalesce((
        select pg_read_file(path, 0, size, true) from history, lateral pg_stat_file(path, true) where size is not null), ''),
    'can_rewind', current_setting('full_page_writes')::bool
        and (current_setting('data_checksums')::bool or current_setting('wal_log_hints')::bool),
    -- Every file is looked at for these: only when they are asked for. `case` keeps the others from being evaluated.
    'made', case when (select (question ->> 'sizes')::bool from asked) then (
        select jsonb_build_object(
            'encoding', pg_encoding_to_char(encoding), 'locale', datcollate,
            'provider', case datlocprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
            -- 17 gave it a name that fits two providers.
            'icu_locale', coalesce(to_jsonb(template) ->> 'datlocale', to_jsonb(template) ->> 'daticulocale', ''),
            'checksums', current_setting('data_checksums') <> 'off')
        from pg_database as template
        where datname = 'template0') end,
    'sizes', case when (select (question ->> 'sizes')::bool from asked) then jsonb_build_object(
        'data_bytes', (select coalesce(sum(pg_database_size(oid)), 0)::bigint from pg_database),
        'wal_bytes', (select coalesce(sum(size), 0)::bigint from pg_ls_waldir())) end
)::text
from position
