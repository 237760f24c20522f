-- Events without a table: messages in the WAL.

-- As walrelay.emit, but nothing is stored: the event is a message of pg_logical_emit_message in the
-- caller's transaction, under the prefix `walrelay`. That is a fifth less WAL than a row. In return
-- it can't be recovered after a lost slot, nor replayed, nor looked at; a NULL payload and a JSON
-- null are the same; and it is delivered only where a route `from: message:walrelay` names it.
-- Answers where the message is in the WAL; the id that the sinks will see is inside.
--
-- Any role may write messages under any prefix by itself, also this one: a route from messages
-- trusts everybody who can connect. If that is too much, a superuser can run
--   revoke execute on function pg_logical_emit_message(boolean, text, text) from public;
-- (and the same for bytea; since 17 both have another boolean at the end), and grant it to
-- walrelay_owner.
create or replace function walrelay.emit_wal(
    topic text, payload jsonb, key text default null, type text default null,
    headers jsonb default null
) returns pg_lsn
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if (topic <> '') is not true or jsonb_typeof(headers) <> 'object' then
        perform walrelay.refuse_event('emit_wal', topic, headers);
    end if;
    return pg_logical_emit_message(true, 'walrelay', json_build_object(
        'id', gen_random_uuid(), 'topic', topic, 'key', key, 'type', type, 'headers', headers,
        'payload', payload)::text);
end
$$;

alter function walrelay.emit_wal(text, jsonb, text, text, jsonb) owner to walrelay_owner;
revoke all on function walrelay.emit_wal(text, jsonb, text, text, jsonb) from public;
grant execute on function walrelay.emit_wal(text, jsonb, text, text, jsonb) to walrelay_app;
