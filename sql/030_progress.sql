-- How far each relay has come, and the emptying of the outbox that depends on it.

-- One row a slot, written by the relay before the acknowledgement that it covers. Everything up to
-- safe_lsn is delivered; so is every row that is visible in delivered_snapshot. It is updated about
-- once a second: nearly empty pages keep each update within its page (HOT).
create table if not exists walrelay.progress (
    slot text primary key,
    safe_lsn pg_lsn not null,
    epoch bigint not null,
    delivered_snapshot pg_snapshot,
    system_identifier bigint not null,
    timeline integer not null,
    publication_fingerprint text,
    halt text,
    updated_at timestamptz not null default now(),
    relay_version text
) with (fillfactor = 10);

do $$
begin
    if (select relowner <> 'walrelay_owner'::regrole from pg_catalog.pg_class
        where oid = 'walrelay.progress'::regclass) then
        alter table walrelay.progress owner to walrelay_owner;
    end if;
end
$$;

-- Truncates partitions of the outbox whose rows every relay has delivered, and answers their names.
-- Called once an hour, or as often as one likes.
--
-- Rows younger than keep_hours (0 to 21) are kept for replay; the partitions of this hour and of
-- the next are never touched. Nothing is truncated while no relay of this server has a record, and
-- a partition that somebody has locked is left for the next time (a prepared transaction holds such
-- a lock too). A partition is read once, whole, before it is truncated.
-- 55P03 means that it was locked at the very last moment: nothing was done, call again.
create or replace function walrelay.rotate(keep_hours integer default 20) returns setof text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    this_hour integer := extract(hour from clock_timestamp() at time zone 'UTC');
    server bigint := (select c.system_identifier from pg_control_system() c);
    leaf text;
    leaf_id regclass;
    undelivered boolean;
begin
    if keep_hours is null or keep_hours not between 0 and 21 then
        raise exception using errcode = '22023',
            message = 'walrelay.rotate: keep_hours must be between 0 and 21';
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        -- With one snapshot for the whole transaction, rows that were committed after it are not
        -- seen, and would be truncated unseen.
        raise exception using errcode = '25001',
            message = 'walrelay.rotate: only in transactions that are read committed';
    end if;

    -- The partition of this hour + n was written 24 - n hours ago: the oldest come first.
    for ahead in 2 .. 23 - keep_hours loop
        leaf := 'outbox_' || to_char((this_hour + ahead) % 24, 'FM00');
        leaf_id := to_regclass('walrelay.' || leaf);
        continue when leaf_id is null or pg_relation_size(leaf_id) = 0;
        -- NOWAIT raises an error, which would undo the others: so look first.
        continue when exists (
            select from pg_locks l join pg_class c on l.relation in (c.oid, c.reltoastrelid)
            where c.oid = leaf_id and l.locktype = 'relation'
              and l.database = (select d.oid from pg_database d
                                where d.datname = current_database())
              and l.pid is distinct from pg_backend_pid());
        execute format('lock table only walrelay.%I in access exclusive mode nowait', leaf);

        -- Every writer of this partition has ended now, so a statement that starts after the lock
        -- sees all of its rows. Undelivered may be those whose xid is not below the xmin of a
        -- delivered snapshot. age() counts back from one xid, the same for the whole statement; beyond
        -- 2^31 it wraps, which makes an old row look new (it stays) and is excluded for the snapshots,
        -- as is one from the future, which is not of this history.
        execute format($test$
            with relay as (
                select p.delivered_snapshot as snapshot from walrelay.progress p
                where p.system_identifier = $1)
            select not exists (select from relay)
                or exists (select from relay where snapshot is null
                           or pg_snapshot_xmax(pg_current_snapshot())::text::numeric
                              - pg_snapshot_xmin(snapshot)::text::numeric
                              not between 0 and 2000000000)
                or exists (select from only walrelay.%I o
                           where age(o.xmin) <= (select max(age(pg_snapshot_xmin(snapshot)::xid))
                                                 from relay))
            $test$, leaf) into undelivered using server;
        continue when undelivered;
        execute format('truncate table only walrelay.%I', leaf);
        return next leaf;
    end loop;
end
$$;

alter function walrelay.rotate(integer) owner to walrelay_owner;
revoke all on function walrelay.rotate(integer) from public;

grant select, insert, update on walrelay.progress to walrelay_relay;
grant execute on function walrelay.rotate(integer) to walrelay_relay;
