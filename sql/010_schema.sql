-- Roles and the schema. Run the files of this folder in the order of their numbers, best in one
-- transaction; they may be run again at any time, and do so after each upgrade of walrelay.
--
-- Needs CREATE on the database, and CREATEROLE or the three roles made beforehand:
--   create role walrelay_owner nologin; create role walrelay_app nologin;
--   create role walrelay_relay nologin; grant walrelay_owner to <who runs this>;

-- walrelay_owner: owns everything here; the functions run with its rights and no others.
-- walrelay_app:   may emit events.              grant walrelay_app to <your application's role>
-- walrelay_relay: what the relay itself needs.  grant walrelay_relay to <the relay's role>
do $$
declare
    wanted text;
    usable boolean;
begin
    foreach wanted in array array['walrelay_owner', 'walrelay_app', 'walrelay_relay'] loop
        continue when exists (select from pg_catalog.pg_roles where rolname = wanted);
        if not exists (select from pg_catalog.pg_roles
                       where rolname = current_user and (rolsuper or rolcreaterole)) then
            raise exception using
                message = format('role %I is missing, and %I may not create roles',
                                 wanted, current_user),
                hint = format('Have somebody with CREATEROLE run: '
                    'create role walrelay_owner nologin; '
                    'create role walrelay_app nologin; create role walrelay_relay nologin; '
                    'grant walrelay_owner to %I;', current_user);
        end if;
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            null;  -- another database of this cluster was faster
        end;
    end loop;

    -- Owned objects can be handed to walrelay_owner, and published, only by a member of it.
    usable := pg_has_role(current_user, 'walrelay_owner', 'USAGE');
    if usable and current_setting('server_version_num')::integer >= 160000 then
        usable := pg_has_role(current_user, 'walrelay_owner', 'SET');
    end if;
    if not usable then
        execute format('grant walrelay_owner to %I', current_user);
    end if;
end
$$;

do $$
declare
    holder name;
begin
    select r.rolname into holder
    from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner
    where n.nspname = 'walrelay';
    if not found then
        create schema walrelay;
    elsif holder not in ('walrelay_owner', current_user) then
        -- Whoever owns a schema can put functions and triggers of his own into it.
        raise exception using
            message = format('schema walrelay exists and belongs to %I', holder),
            hint = 'Drop it, or, if everything in it is trusted, run: '
                'alter schema walrelay owner to walrelay_owner;';
    end if;
    if holder is distinct from 'walrelay_owner' then
        alter schema walrelay owner to walrelay_owner;
    end if;
end
$$;

revoke all on schema walrelay from public;
grant usage on schema walrelay to walrelay_app, walrelay_relay;
