-- Drops days that are older than `sluice.keep_days`; once a night, as the owner:
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -c "set sluice.keep_days = '90'" -f postgres-retention.sql
-- A day with a message that has not ended is kept, and all days after it.

do $$
declare
    keep   integer := current_setting('sluice.keep_days');
    open_  boolean := false;
    child  text;
    day    date;
begin
    if keep < 36 then
        raise 'keep at least 36 days: send_at may lie 30 days ahead, and receipts look back 35';
    end if;
    set local lock_timeout = '5s';  -- rather fail and come back than hold up the recorder
    for day in
        select distinct to_date(right(c.relname, 8), 'YYYYMMDD') as found
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'days' and c.relkind = 'r' and c.relname ~ '^[a-z]+_\d{8}$'
        order by found
    loop
        exit when day >= current_date - keep;
        child := to_char(day, 'YYYYMMDD');
        if to_regclass('days.messages_' || child) is not null then
            execute format('select exists (select from days.%I where final_at is null)', 'messages_' || child)
            into open_;
        end if;
        if open_ then
            raise notice 'kept from % on: a message of that day has not ended', day;
            exit;
        end if;
        for child in
            select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = 'days' and c.relkind = 'r' and right(c.relname, 9) = '_' || to_char(day, 'YYYYMMDD')
        loop
            execute format('drop table days.%I', child);
        end loop;
    end loop;
    delete from stats_minute where at < now() - make_interval(days => keep);
end $$;
