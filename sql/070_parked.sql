-- Events that left the stream: refused for good, or behind one that was, until an operator says
-- what becomes of them.

-- One row for each sink of an event; sink '' where no route took it. The columns up to `lane` are
-- what the relay reads; those behind are for people. `relation` and `message` are the two messages
-- of the stream, so that the event comes back as it was, by the routes of that day.
--
-- state: parked     refused for good: waits for walrelay parked redrive, or drop
--        held       waits for its turn: its key is stuck, or it is being sent again
--        delivered  has arrived since
--        dropped    given up by an operator
--
-- put_epoch: of the slot, when the relay set the row aside. What it sets aside once more in the same
-- epoch is a repeat: its first answer was lost.
create table if not exists walrelay.parked (
    id bigint generated always as identity primary key,
    slot text not null,
    system_identifier bigint not null,
    lsn pg_lsn not null,
    ordinal integer not null,
    message_number bigint not null,
    origin text not null
        constraint parked_origin check (origin in ('row', 'message', 'lone_message')),
    xid bigint not null,
    committed_at timestamptz not null,
    relation bytea not null,
    message bytea not null,
    lane bigint,
    source_table text not null,
    event_id text not null,
    sink text not null,
    destination text not null,
    key text,
    type text,
    error text not null,
    attempts bigint not null,
    state text not null
        constraint parked_state check (state in ('parked', 'held', 'delivered', 'dropped')),
    holds_key boolean not null,
    redriven_at timestamptz,
    parked_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    put_epoch bigint,
    constraint parked_place
        unique (system_identifier, slot, lsn, ordinal, message_number, sink)
);

-- Only where it lacks: ALTER TABLE would lock out the relay although nothing is to be changed.
do $$
begin
    if not exists (select from pg_catalog.pg_attribute a
                   where a.attrelid = 'walrelay.parked'::regclass and a.attname = 'put_epoch') then
        alter table walrelay.parked add column put_epoch bigint;
    end if;
end
$$;

-- What waits of each key, in the order in which it is sent: from one lane the next one is found
-- without reading its rows.
create index if not exists parked_lanes on walrelay.parked
    (slot, system_identifier, sink, lane, holds_key, lsn, ordinal, message_number)
    where lane is not null and (state = 'held' or state = 'parked' and holds_key);

-- What waits without a key.
create index if not exists parked_singles on walrelay.parked (slot, system_identifier, id)
    where lane is null and state = 'held';

-- What operators list and count.
create index if not exists parked_listed on walrelay.parked (slot, system_identifier, id)
    where state in ('held', 'parked');

-- What walrelay.prune() deletes.
create index if not exists parked_gone on walrelay.parked
    (slot, system_identifier, updated_at, lsn)
    where state in ('delivered', 'dropped');

drop index if exists walrelay.parked_waiting;  -- of earlier versions

-- What operators wish, for the relay that reads it in its stream: this table is published, the one
-- above never is. Of pause and resume the mark with the highest id counts.
create table if not exists walrelay.redrive (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    by text not null default session_user,
    action text not null
        constraint redrive_action check (action in ('redrive', 'drop', 'pause', 'resume')),
    slot text not null,
    sink text,
    ids bigint[] constraint redrive_ids check (cardinality(ids) <= 1000)
);

create index if not exists redrive_pauses on walrelay.redrive (slot, sink, id)
    where action in ('pause', 'resume');

do $$
declare
    wrong regclass;
begin
    for wrong in
        select c.oid from pg_catalog.pg_class c
        where c.relnamespace = 'walrelay'::regnamespace and c.relkind = 'r'
          and c.relname in ('parked', 'redrive') and c.relowner <> 'walrelay_owner'::regrole
    loop
        execute format('alter table %s owner to walrelay_owner', wrong);
    end loop;
end
$$;

-- Writes the marks for those of `ids` that wait on this server, and answers how many they are.
create or replace function walrelay.mark_parked(action text, ids bigint[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    marked bigint;
begin
    if ids is null then
        raise exception using errcode = '22023',
            message = format('walrelay.%s: ids must not be NULL', case mark_parked.action
                when 'drop' then 'drop_parked' else mark_parked.action end);
    end if;
    with waiting as (
        select p.slot, p.id,
               (row_number() over (partition by p.slot order by p.id) - 1) / 1000 as part
        from walrelay.parked p
        where p.id = any (mark_parked.ids) and p.state in ('held', 'parked')
          and p.system_identifier = (select c.system_identifier from pg_control_system() c)),
    marks as (
        insert into walrelay.redrive (action, slot, ids)
        select mark_parked.action, w.slot, array_agg(w.id order by w.id)
        from waiting w group by w.slot, w.part order by w.slot, w.part)
    select count(*) into marked from waiting;
    return marked;
end
$$;

-- Sends rows of walrelay.parked again, by the routes of the file that the relay runs with. Answers
-- how many of the ids wait; the relay that reads their slot does the rest.
create or replace function walrelay.redrive(ids bigint[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return walrelay.mark_parked('redrive', redrive.ids);
end
$$;

-- Gives rows of walrelay.parked up: they are never sent, and those behind them go on.
create or replace function walrelay.drop_parked(ids bigint[]) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return walrelay.mark_parked('drop', drop_parked.ids);
end
$$;

-- Of the marks on a sink the newest counts.
create or replace function walrelay.mark_sink(action text, slot text, sink text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if (mark_sink.slot <> '' and mark_sink.sink <> '') is not true then
        raise exception using errcode = '22023',
            message = format('walrelay.%s: slot and sink must not be NULL or empty',
                             mark_sink.action);
    end if;
    insert into walrelay.redrive (action, slot, sink)
    values (mark_sink.action, mark_sink.slot, mark_sink.sink);
end
$$;

-- Nothing more is sent to a sink of the relay that reads this slot, until walrelay.resume.
create or replace function walrelay.pause(slot text, sink text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform walrelay.mark_sink('pause', pause.slot, pause.sink);
end
$$;

create or replace function walrelay.resume(slot text, sink text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform walrelay.mark_sink('resume', resume.slot, resume.sink);
end
$$;

-- Deletes at most so many rows that nobody needs any more, and answers how many: of
-- walrelay.parked what is delivered or dropped, unchanged for so long, and can't be read from the
-- stream again (a row that is there keeps an event that comes again from being sent again); of
-- walrelay.redrive what is older, but for the newest word on each sink.
create or replace function walrelay.prune(
    most integer default 10000, keep interval default '7 days'
) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    before timestamptz;
    pruned bigint;
    marks bigint;
begin
    if most is null or most < 1 or keep is null or keep < interval '0' then
        raise exception using errcode = '22023',
            message = 'walrelay.prune: most must be at least 1, and keep not negative';
    end if;
    before := clock_timestamp() - keep;  -- volatile: no index would be asked for it
    delete from walrelay.parked where id = any (array(
        select gone.id
        from walrelay.progress r cross join lateral (
            select p.id from walrelay.parked p
            where p.slot = r.slot and p.system_identifier = r.system_identifier
              and p.state in ('delivered', 'dropped')
              and p.updated_at < before and p.lsn < r.safe_lsn
            order by p.updated_at limit most) gone
        limit most));
    get diagnostics pruned = row_count;
    delete from walrelay.redrive where id in (
        select m.id
        from walrelay.redrive m
        where m.at < before
          and (m.action in ('redrive', 'drop') or exists (
              select from walrelay.redrive newer
              where newer.action in ('pause', 'resume') and newer.slot = m.slot
                and newer.sink = m.sink and newer.id > m.id))
        limit most - pruned);
    get diagnostics marks = row_count;
    return pruned + marks;
end
$$;

alter function walrelay.mark_parked(text, bigint[]) owner to walrelay_owner;
alter function walrelay.redrive(bigint[]) owner to walrelay_owner;
alter function walrelay.drop_parked(bigint[]) owner to walrelay_owner;
alter function walrelay.mark_sink(text, text, text) owner to walrelay_owner;
alter function walrelay.pause(text, text) owner to walrelay_owner;
alter function walrelay.resume(text, text) owner to walrelay_owner;
alter function walrelay.prune(integer, interval) owner to walrelay_owner;

revoke all on function
    walrelay.mark_parked(text, bigint[]),
    walrelay.mark_sink(text, text, text),
    walrelay.redrive(bigint[]),
    walrelay.drop_parked(bigint[]),
    walrelay.pause(text, text),
    walrelay.resume(text, text),
    walrelay.prune(integer, interval)
from public;
grant execute on function
    walrelay.redrive(bigint[]),
    walrelay.drop_parked(bigint[]),
    walrelay.pause(text, text),
    walrelay.resume(text, text),
    walrelay.prune(integer, interval)
to walrelay_relay;

grant select, insert, update on walrelay.parked to walrelay_relay;
grant select on walrelay.redrive to walrelay_relay;
