-- How far each relay has come.

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

grant select, insert, update on walrelay.progress to walrelay_relay;
