-- Least privilege: `sluice_app` serves, the owner of the tables migrates. Run it as the owner, in Sluice's database,
-- once and after every `sluice db migrate`:  psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f postgres-grants.sql

-- The login of the processes. Its password: \password sluice_app
do $$
begin
    if not exists (select from pg_roles where rolname = 'sluice_app') then
        create role sluice_app login;
    end if;
end $$;

-- Rows, not tables. Partitions of coming days are covered before they exist.
grant usage on schema public, days to sluice_app;
grant select, insert, update, delete on all tables in schema public, days to sluice_app;
grant usage on all sequences in schema public to sluice_app;
alter default privileges in schema public, days grant select, insert, update, delete on tables to sluice_app;
alter default privileges in schema public grant usage on sequences to sluice_app;
revoke insert, update, delete on schema_migrations from sluice_app;

-- Of schema bi it only fills the dimensions, and reads.
grant usage on schema bi to sluice_app;
grant select on all tables in schema bi to sluice_app;
grant insert on bi.carriers, bi.operators, bi.clients, bi.senders, bi.tags to sluice_app;

-- The one thing that takes an owner: making a day's partitions. Nothing but that can be done with it.
alter function ensure_day(date) security definer;
alter function ensure_day(date) set search_path = pg_catalog, public, pg_temp;
revoke execute on function ensure_day(date) from public;
grant execute on function ensure_day(date) to sluice_app;
