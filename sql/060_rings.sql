-- The rings: append-only tables of 24 partitions, one for each hour of the day in UTC. None is ever
-- added or dropped; walrelay.rotate() empties them by TRUNCATE.

-- Vacuuming partitions after inserts would be work for nothing.
do $$
declare
    ring text;
    leaf text;
begin
    foreach ring in array array['outbox', 'dispatch'] loop
        for hour in 0 .. 23 loop
            leaf := ring || to_char(hour, '"_"FM00');
            continue when to_regclass('walrelay.' || leaf) is not null;
            execute format('create table walrelay.%I partition of walrelay.%I for values in (%s) '
                           'with (autovacuum_vacuum_insert_threshold = -1)', leaf, ring, hour);
        end loop;
    end loop;
end
$$;

-- All tables belong to walrelay_owner. Only where it differs: ALTER TABLE would lock out writers
-- although nothing is to be changed.
do $$
declare
    wrong regclass;
begin
    for wrong in
        select c.oid from pg_catalog.pg_class c
        where c.relnamespace = 'walrelay'::regnamespace and c.relkind in ('r', 'p')
          and c.relname ~ '^((outbox|dispatch)(_[0-9]{2})?|progress|queue)$'
          and c.relowner <> 'walrelay_owner'::regrole
    loop
        execute format('alter table %s owner to walrelay_owner', wrong);
    end loop;
end
$$;

-- Truncates partitions of the rings whose rows every relay has delivered, and answers their names.
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
    for leaf in
        select r.ring || to_char((this_hour + ahead) % 24, '"_"FM00')
        from generate_series(2, 23 - keep_hours) ahead,
            unnest(array['outbox', 'dispatch']) with ordinality r (ring, place)
        order by ahead, r.place
    loop
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
        -- delivered snapshot. age() counts back from one xid, the same for the whole statement;
        -- beyond 2^31 it wraps, which makes an old row look new (it stays) and is excluded for the
        -- snapshots, as is one from the future, which is not of this history.
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
grant execute on function walrelay.rotate(integer) to walrelay_relay;
