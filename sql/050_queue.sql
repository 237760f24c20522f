-- Workflow queues. A queue in mode `ack` is delivery and nothing else: a workflow is one row, it is
-- pushed to its worker, and it is done when the sink has accepted it.

create table if not exists walrelay.queue (
    name text primary key,
    mode text not null constraint queue_mode check (mode = 'ack')
);

-- The pushes of workflows. A ring as the outbox is, and for the same reasons (020_outbox.sql).
create table if not exists walrelay.dispatch (
    seq bigint generated always as identity (cache 1),
    at timestamptz not null default clock_timestamp(),
    push integer not null,
    queue text not null,
    name text not null,
    workflow_id uuid not null,
    attempt integer not null,
    key text,
    input jsonb not null,
    headers jsonb
) partition by list ((extract(hour from at at time zone 'UTC')));

insert into walrelay.queue (name, mode) values ('default', 'ack') on conflict do nothing;

-- Makes a queue; true if it is new, false if it was there. For members of walrelay_owner: a queue
-- decides where work goes and how often, so applications may not make any.
create or replace function walrelay.create_queue(
    name text, mode text default 'ack', max_attempts integer default null,
    lease interval default null, backoff interval default null, backoff_max interval default null,
    keep interval default null, paused boolean default false, max_in_flight integer default null,
    rate integer default null, rate_period interval default null, per_key boolean default false
) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    later text := case
        when mode in ('lease', 'managed', 'pull') then format('mode %s', mode)
        when max_attempts is not null then 'max_attempts'
        when lease is not null then 'lease'
        when backoff is not null then 'backoff'
        when backoff_max is not null then 'backoff_max'
        when keep is not null then 'keep'
        when paused then 'paused'
        when max_in_flight is not null then 'max_in_flight'
        when rate is not null then 'rate'
        when rate_period is not null then 'rate_period'
        when per_key then 'per_key'
    end;
begin
    -- What it must be to be a part of a URL and the name of a Kafka topic.
    if name is null or name !~ '^[A-Za-z0-9._-]{1,249}$' or name in ('.', '..') or name ~ '^__' then
        raise exception using errcode = '22023',
            message = format('walrelay.create_queue: the name %L is not allowed', name),
            hint = 'A name has 1 to 249 of the characters A-Z, a-z, 0-9, ".", "_" and "-", does '
                'not begin with "__", and is not "." or "..".';
    end if;
    if later is not null then
        raise exception using errcode = '0A000',
            message = format('walrelay.create_queue: %s is not available yet', later);
    end if;
    if mode is distinct from 'ack' then
        raise exception using errcode = '22023',
            message = format('walrelay.create_queue: there is no mode %L', mode),
            hint = 'A queue has the mode ack.';
    end if;
    insert into walrelay.queue (name, mode) values (create_queue.name, create_queue.mode)
    on conflict do nothing;
    return found;
end
$$;

-- A new id in the form of version 7: ids of one server sort by the time when they were made, to the
-- quarter of a microsecond. Without a SET clause it becomes a part of the statement that calls it,
-- so call it only where the search_path is fixed.
do $$
begin
    execute 'create or replace function walrelay.uuid7() returns uuid language sql volatile as '
        || quote_literal(case
            when current_setting('server_version_num')::integer >= 180000 then 'select uuidv7()'
            -- The time in 1/4096 ms is 48 bits of milliseconds and 12 bits below them: 15 digits,
            -- and the version between. Variant and the rest are those of a random id.
            else $f$select (overlay(
                lpad(to_hex((extract(epoch from clock_timestamp()) * 4096000)::bigint), 15, '0')
                placing '7' from 13 for 0) || right(gen_random_uuid()::text, 17))::uuid$f$
           end);
end
$$;

-- Says what enqueue_workflow and enqueue_workflows refuse, as refuse_event does for events.
create or replace function walrelay.refuse_workflow(
    caller text, name text, queue text, headers jsonb
) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if name is null or name = '' then
        raise exception using errcode = '22023',
            message = format('walrelay.%s: name must not be NULL or empty', caller);
    end if;
    if jsonb_typeof(headers) <> 'object' then
        raise exception using errcode = '22023',
            message = format('walrelay.%s: headers must be a JSON object, not %s', caller,
                             jsonb_typeof(headers));
    end if;
    if queue is null then
        raise exception using errcode = '22023',
            message = format('walrelay.%s: queue must not be NULL', caller);
    end if;
    raise exception using errcode = '23503',
        message = format('walrelay.%s: queue "%s" does not exist', caller, queue),
        hint = format('As a member of walrelay_owner: select walrelay.create_queue(%L);', queue);
end
$$;

-- Enqueues a workflow in the caller's transaction. The answer is its id: the one that was given, or
-- a new one of version 7, and whether a workflow was made, which is always true in mode `ack`: its
-- table has no index, and a given id is used as it is, also twice. It is the worker that must not
-- do the work of an id twice; the id comes as `idempotency-key`.
--
-- input may be any JSON; NULL stands for {}, as if it weren't given. Workflows of one key arrive in
-- the order of their commits. NULL for any argument behind key is the same as leaving it out.
create or replace function walrelay.enqueue_workflow(
    name text, queue text default 'default', input jsonb default '{}',
    workflow_id uuid default null, run_at timestamptz default null, delay interval default null,
    priority integer default 0, key text default null, dedup_key text default null,
    dedup_for interval default null, dedup_while text default 'queued',
    on_duplicate text default 'return', max_attempts integer default null,
    deadline timestamptz default null, headers jsonb default null, parent uuid default null,
    step text default null, out id uuid, out created boolean
) returns record
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if (name <> '') is not true or jsonb_typeof(headers) <> 'object' then
        perform walrelay.refuse_workflow('enqueue_workflow', name, queue, headers);
    end if;
    if num_nonnulls(run_at, delay, dedup_key, dedup_for, max_attempts, deadline, parent, step) > 0
       or priority <> 0 or dedup_while <> 'queued' or on_duplicate <> 'return' then
        raise exception using errcode = '0A000',
            message = format('walrelay.enqueue_workflow: %s is not available yet', case
                when run_at is not null then 'run_at'
                when delay is not null then 'delay'
                when priority <> 0 then 'priority'
                when dedup_key is not null then 'dedup_key'
                when dedup_for is not null then 'dedup_for'
                when dedup_while <> 'queued' then 'dedup_while'
                when on_duplicate <> 'return' then 'on_duplicate'
                when max_attempts is not null then 'max_attempts'
                when deadline is not null then 'deadline'
                when parent is not null then 'parent'
                else 'step' end);
    end if;

    id := coalesce(workflow_id, walrelay.uuid7());
    created := true;
    insert into walrelay.dispatch (push, queue, name, workflow_id, attempt, key, input, headers)
    select 1, q.name, enqueue_workflow.name, enqueue_workflow.id, 1, enqueue_workflow.key,
           coalesce(enqueue_workflow.input, '{}'), enqueue_workflow.headers
    from walrelay.queue q where q.name = enqueue_workflow.queue;
    if not found then
        perform walrelay.refuse_workflow('enqueue_workflow', name, queue, headers);
    end if;
end
$$;

-- Many workflows of one name in one statement, in the order of `inputs`; keys, workflow_ids and
-- headers are NULL or as long. The answer has the ids in the same order; new ones ascend.
create or replace function walrelay.enqueue_workflows(
    name text, queue text, inputs jsonb[], keys text[] default null,
    workflow_ids uuid[] default null, headers jsonb[] default null
) returns uuid[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    ids uuid[];
    wanted integer := cardinality(inputs);
    wrong bigint;
begin
    if (name <> '') is not true
       or not exists (select from walrelay.queue q where q.name = enqueue_workflows.queue) then
        perform walrelay.refuse_workflow('enqueue_workflows', name, queue, null);
    end if;
    if inputs is null then
        raise exception using errcode = '22023',
            message = 'walrelay.enqueue_workflows: inputs must not be NULL';
    end if;
    if cardinality(keys) <> wanted or cardinality(workflow_ids) <> wanted
       or cardinality(headers) <> wanted then
        raise exception using errcode = '22023',
            message = format('walrelay.enqueue_workflows: keys, workflow_ids and headers must be '
                'NULL or as long as inputs (%s); they have %s, %s and %s', wanted,
                coalesce(cardinality(keys)::text, 'NULL'),
                coalesce(cardinality(workflow_ids)::text, 'NULL'),
                coalesce(cardinality(headers)::text, 'NULL'));
    end if;
    select min(h.position) into wrong
    from unnest(headers) with ordinality as h (value, position)
    where jsonb_typeof(h.value) <> 'object';
    if wrong is not null then
        raise exception using errcode = '22023', message = format(
            'walrelay.enqueue_workflows: headers number %s must be a JSON object', wrong);
    end if;

    select coalesce(array_agg(n.id order by n.id), '{}') into ids
    from (select walrelay.uuid7() as id from generate_series(1, wanted)) n;
    select coalesce(array_agg(coalesce(i.given, i.made) order by i.position), '{}') into ids
    from unnest(workflow_ids, ids) with ordinality as i (given, made, position);
    insert into walrelay.dispatch (push, queue, name, workflow_id, attempt, key, input, headers)
    select 1, enqueue_workflows.queue, enqueue_workflows.name, w.id, 1, w.key,
           coalesce(w.input, '{}'), w.headers
    from unnest(ids, inputs, keys, enqueue_workflows.headers)
        with ordinality as w (id, input, key, headers, position)
    order by w.position;
    return ids;
end
$$;

alter function walrelay.create_queue owner to walrelay_owner;
alter function walrelay.uuid7 owner to walrelay_owner;
alter function walrelay.refuse_workflow owner to walrelay_owner;
alter function walrelay.enqueue_workflow owner to walrelay_owner;
alter function walrelay.enqueue_workflows owner to walrelay_owner;

revoke all on function walrelay.create_queue, walrelay.uuid7, walrelay.refuse_workflow,
    walrelay.enqueue_workflow, walrelay.enqueue_workflows
from public;
grant execute on function walrelay.enqueue_workflow, walrelay.enqueue_workflows to walrelay_app;
