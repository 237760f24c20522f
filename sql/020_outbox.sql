-- The outbox: an event is a row, written in the transaction whose news it is.

-- Append-only and without an index: what is delivered is read from the WAL, never from here. The
-- rows stay for replay and repair until walrelay.rotate() truncates their partition (060_rings.sql
-- makes the partitions). `seq` is commit order for writers that serialise on their key (that is
-- what CACHE 1 is for). `at` is clock_timestamp(): with now() a long transaction would write into
-- an hour that is long over.
create table if not exists walrelay.outbox (
    seq bigint generated always as identity (cache 1),
    id uuid not null default gen_random_uuid(),
    at timestamptz not null default clock_timestamp(),
    topic text not null,
    key text,
    type text,
    payload jsonb,
    raw bytea,
    headers jsonb
) partition by list ((extract(hour from at at time zone 'UTC')));

-- Says what emit, emit_raw, emit_many and emit_wal refuse. Each looks by itself whether there is
-- something to refuse: a call of another function for every event takes a sixth of emit's time.
create or replace function walrelay.refuse_event(caller text, topic text, headers jsonb)
returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if topic is null or topic = '' then
        raise exception using errcode = '22023',
            message = format('walrelay.%s: topic must not be NULL or empty', caller);
    end if;
    raise exception using errcode = '22023',
        message = format('walrelay.%s: headers must be a JSON object, not %s', caller,
                         jsonb_typeof(headers));
end
$$;

-- One event in the caller's transaction. The answer is the id that the sinks will see.
create or replace function walrelay.emit(
    topic text, payload jsonb, key text default null, type text default null,
    headers jsonb default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    event uuid := gen_random_uuid();
begin
    if (topic <> '') is not true or jsonb_typeof(headers) <> 'object' then
        perform walrelay.refuse_event('emit', topic, headers);
    end if;
    insert into walrelay.outbox (id, topic, key, type, payload, headers)
    values (event, emit.topic, emit.key, emit.type, emit.payload, emit.headers);
    return event;
end
$$;

-- The same for a body that is not JSON: the bytes are sent as they are.
create or replace function walrelay.emit_raw(
    topic text, payload bytea, key text default null, type text default null,
    headers jsonb default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    event uuid := gen_random_uuid();
begin
    if (topic <> '') is not true or jsonb_typeof(headers) <> 'object' then
        perform walrelay.refuse_event('emit_raw', topic, headers);
    end if;
    insert into walrelay.outbox (id, topic, key, type, raw, headers)
    values (event, emit_raw.topic, emit_raw.key, emit_raw.type, emit_raw.payload, emit_raw.headers);
    return event;
end
$$;

-- Many events of one topic in one statement, in the order of `payloads`. keys, types and headers
-- are NULL or as long as payloads. The answer has the ids in the same order.
create or replace function walrelay.emit_many(
    topic text, payloads jsonb[], keys text[] default null, types text[] default null,
    headers jsonb[] default null
) returns uuid[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    events uuid[];
    wanted integer := cardinality(payloads);
    wrong bigint;
begin
    if (topic <> '') is not true then
        perform walrelay.refuse_event('emit_many', topic, null);
    end if;
    if payloads is null then
        raise exception using errcode = '22023',
            message = 'walrelay.emit_many: payloads must not be NULL';
    end if;
    if cardinality(keys) <> wanted or cardinality(types) <> wanted
       or cardinality(headers) <> wanted then
        raise exception using errcode = '22023',
            message = format('walrelay.emit_many: keys, types and headers must be NULL or as '
                'long as payloads (%s); they have %s, %s and %s', wanted,
                coalesce(cardinality(keys)::text, 'NULL'),
                coalesce(cardinality(types)::text, 'NULL'),
                coalesce(cardinality(headers)::text, 'NULL'));
    end if;
    select min(h.position) into wrong
    from unnest(headers) with ordinality as h (value, position)
    where jsonb_typeof(h.value) <> 'object';
    if wrong is not null then
        raise exception using errcode = '22023',
            message = format('walrelay.emit_many: headers number %s must be a JSON object', wrong);
    end if;

    select coalesce(array_agg(gen_random_uuid()), '{}') into events
    from generate_series(1, wanted);
    insert into walrelay.outbox (id, topic, key, type, payload, headers)
    select e.id, emit_many.topic, e.key, e.type, e.payload, e.headers
    from unnest(events, payloads, keys, types, emit_many.headers)
        with ordinality as e (id, payload, key, type, headers, position)
    order by e.position;
    return events;
end
$$;

alter function walrelay.refuse_event(text, text, jsonb) owner to walrelay_owner;
alter function walrelay.emit(text, jsonb, text, text, jsonb) owner to walrelay_owner;
alter function walrelay.emit_raw(text, bytea, text, text, jsonb) owner to walrelay_owner;
alter function walrelay.emit_many(text, jsonb[], text[], text[], jsonb[]) owner to walrelay_owner;

revoke all on function
    walrelay.refuse_event(text, text, jsonb),
    walrelay.emit(text, jsonb, text, text, jsonb),
    walrelay.emit_raw(text, bytea, text, text, jsonb),
    walrelay.emit_many(text, jsonb[], text[], text[], jsonb[])
from public;
grant execute on function
    walrelay.emit(text, jsonb, text, text, jsonb),
    walrelay.emit_raw(text, bytea, text, text, jsonb),
    walrelay.emit_many(text, jsonb[], text[], text[], jsonb[])
to walrelay_app;
