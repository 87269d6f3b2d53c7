-- Statistics of many messages: fine roll-ups lie in partitions of one UTC day, so that a day is dropped in no time; and
-- summaries of them, from which a month is read at once. Additive: the former release writes on as before, and knows
-- no summaries. What it had stays in one partition `…_before`, which is dropped when all of it is old.

create table statistics_by_day (
    since               date not null
);
comment on table statistics_by_day is 'One row: the first day of which fine roll-ups have a partition; older ones are in days.stats_…_before';

create table dropped_days (
    "table"             text primary key,
    before              date not null
);
comment on table dropped_days is 'Days before this one were dropped from a partitioned table, see `sluice db retention`';

do $$
declare
    fine   text[] := array['stats_minute', 'stats_hour', 'stats_quarter_all', 'stats_hour_sides', 'stats_hour_carriers',
                           'stats_hour_clients'];
    name   text;
    key    text;
    newest timestamptz;
    one    timestamptz;
    view   text := pg_get_viewdef('bi.stats_quarters');
    about  text := obj_description('stats_quarter_all'::regclass);
begin
    foreach name in array fine loop
        execute format('lock table %I in access exclusive mode', name);
        execute format('select max(at) from %I', name) into one;
        newest := greatest(newest, one);
    end loop;
    insert into statistics_by_day
    values (coalesce((newest at time zone 'UTC')::date + 1, '-infinity'));
    foreach name in array fine loop
        select conname into key from pg_constraint where conrelid = name::regclass and contype = 'p';
        execute format('alter table %I rename constraint %I to %I', name, key, name || '_before_pkey');
        execute format('alter table %I rename to %I', name, name || '_before');
        execute format('create table %I (like %I including all) partition by range (at)', name, name || '_before');
        if name = 'stats_quarter_all' then
            execute 'create or replace view bi.stats_quarters as ' || view;
            execute format('comment on table stats_quarter_all is %L', about);
        end if;
        if newest is null then
            execute format('drop table %I', name || '_before');
        else
            execute format('alter table %I set schema days', name || '_before');
            execute format('alter table %I attach partition days.%I for values from (minvalue) to (%L)',
                           name, name || '_before', (newest at time zone 'UTC')::date + 1 || ' 00:00+00');
        end if;
    end loop;
end $$;

-- As before, and the fine roll-ups too.
create or replace function ensure_day(day date) returns integer
    language plpgsql as $$
declare
    parent text;
    made   integer := 0;
    child  text;
    low    text;
    high   text;
    free   integer;
    whole  boolean := day >= (select since from statistics_by_day);
    start  timestamptz := day::timestamp at time zone 'UTC';
    stop   timestamptz := (day + 1)::timestamp at time zone 'UTC';
begin
    perform pg_advisory_xact_lock(7517005, 1);
    foreach parent in array array['messages', 'submissions', 'receipts', 'inbound', 'notes', 'waiting', 'stats_minute',
            'stats_hour', 'stats_quarter_all', 'stats_hour_sides', 'stats_hour_carriers', 'stats_hour_clients'] loop
        child := parent || to_char(day, '"_"YYYYMMDD');
        if parent like 'stats%' and not whole or to_regclass('days.' || quote_ident(child)) is not null then
            continue;
        end if;
        low := quote_literal(start);
        high := quote_literal(stop);
        free := 100;
        if parent = 'messages' then
            low := quote_literal(id_floor(start));
            high := quote_literal(id_floor(stop));
            free := 50;
        elsif parent like 'stats%' then
            free := case when parent in ('stats_minute', 'stats_hour') then 60 else 75 end;
        end if;
        execute format('create table days.%I (like public.%I including all) with (fillfactor = %s)',
                       child, parent, free);
        execute format('alter table public.%I attach partition days.%I for values from (%s) to (%s)',
                       parent, child, low, high);
        made := made + 1;
    end loop;
    return made;
end $$;
comment on function ensure_day is 'Make the partitions of one UTC day; returns how many were missing';

select ensure_day(day)
from (select to_date(right(relname, 8), 'YYYYMMDD') as day from pg_class
      where relnamespace = 'days'::regnamespace and relkind = 'r' and relname ~ '^messages_\d{8}$') known
where day >= (select since from statistics_by_day);


-- Sums of whole hours, UTC days and weeks (from Monday) by some of the dimensions, of all shards; made from the roll-ups
-- by whoever has the time. One counts while nothing has changed in its days since: see `marks`.
create table summary_week_all (like stats_day_all);
alter table summary_week_all drop column shard;
create table summary_day_paths (like summary_week_all);
alter table summary_day_paths drop column reason;
create table summary_day_audiences (like summary_day_paths);
alter table summary_day_audiences drop column carrier;
create table summary_day_senders (like summary_week_all);
alter table summary_day_senders drop column tag;
create table summary_day_reasons (like summary_day_senders);
alter table summary_day_reasons drop column carrier;
create table summary_day_networks (like summary_week_all);
alter table summary_day_networks drop column carrier;
create table summary_day_tags (like summary_week_all);
alter table summary_day_tags drop column operator, drop column country;
create table summary_day_countries (like summary_week_all);
alter table summary_day_countries drop column carrier, drop column operator, drop column reason;

create table summary_hour_tags (like summary_day_tags);
create table summary_hour_countries (like summary_day_countries);
create table summary_week_paths (like summary_day_paths);
create table summary_week_audiences (like summary_day_audiences);
create table summary_week_senders (like summary_day_senders);
create table summary_week_reasons (like summary_day_reasons);
create table summary_week_networks (like summary_day_networks);
create table summary_week_tags (like summary_day_tags);
create table summary_week_countries (like summary_day_countries);
create table summary_week_clients (like stats_day_clients);
create table summary_week_carriers (like stats_day_carriers);
create table summary_week_sides (like stats_day_sides);
alter table summary_week_clients drop column shard;
alter table summary_week_carriers drop column shard;
alter table summary_week_sides drop column shard;

do $$
declare
    name text;
begin
    for name in select relname from pg_class where relnamespace = 'public'::regnamespace and relname like 'summary\_%' loop
        execute format('create index on %I (at)', name);
    end loop;
end $$;

create table summaries (
    grain               text not null,
    at                  timestamptz not null,
    mark                numeric not null,
    made_at             timestamptz not null default clock_timestamp(),
    primary key (grain, at)
);
comment on table summaries is 'Which days (with their hours) and weeks are summed up in summary_…, and of what';
comment on column summaries.mark is 'What marks() said of the days when they were summed up; if it says something else now, the summary does not count';

create function marks(first date, until date) returns table (day date, mark numeric)
    language sql stable as $$
    select c.day, sum(hashtextextended(c.day || ' ' || c.writer || ' ' || c.xmin, 0))
    from changed_days c where c.day >= first and c.day < until group by c.day
$$;
comment on function marks is 'A number for each day that is another one after each transaction that changed messages of the day; those of several days add up';
