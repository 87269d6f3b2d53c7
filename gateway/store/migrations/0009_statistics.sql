-- Slices of statistics: sums by quarter of an hour and by UTC day of accepting over every dimension, with a column for
-- each state and latencies as histograms. Booked in the transaction that moves the message, as stats_minute is. Additive:
-- the former release does not know them. What it accepts has no country and is in no slice, until `sluice stats recount`.

alter table messages add column country text collate "C";
comment on column messages.country is 'Of the recipient''s number, ISO 3166; empty: none; null: a former release accepted it, and it is in no slice of statistics';

create table stats_quarter_all (
    at                  timestamptz not null,
    shard               smallint not null,
    client              text collate "C" not null,
    class               text collate "C" not null,
    carrier             text collate "C" not null,
    operator            text collate "C" not null,
    country             text collate "C" not null,
    sender              text collate "C" not null,
    tag                 text collate "C" not null,
    reason              text collate "C" not null,
    currency            text collate "C" not null,
    accepted            bigint,
    accepted_parts      bigint,
    accepted_cost_micro      bigint,
    scheduled           bigint,
    scheduled_parts     bigint,
    scheduled_cost_micro     bigint,
    routed              bigint,
    routed_parts        bigint,
    routed_cost_micro        bigint,
    submitted           bigint,
    submitted_parts     bigint,
    submitted_cost_micro     bigint,
    unknown             bigint,
    unknown_parts       bigint,
    unknown_cost_micro       bigint,
    delivered           bigint,
    delivered_parts     bigint,
    delivered_cost_micro     bigint,
    undeliverable       bigint,
    undeliverable_parts bigint,
    undeliverable_cost_micro bigint,
    rejected            bigint,
    rejected_parts      bigint,
    rejected_cost_micro      bigint,
    failed              bigint,
    failed_parts        bigint,
    failed_cost_micro        bigint,
    expired             bigint,
    expired_parts       bigint,
    expired_cost_micro       bigint,
    cancelled           bigint,
    cancelled_parts     bigint,
    cancelled_cost_micro     bigint,
    submit_latency      numeric,
    delivery_latency    numeric,
    primary key (at, shard, client, class, carrier, operator, country, sender, tag, reason, currency)
) with (fillfactor = 75);
create table stats_day_all (like stats_quarter_all including all) with (fillfactor = 75);

-- One side of the dimensions each: few rows, for what is asked most.
create table stats_quarter_carriers (like stats_quarter_all) with (fillfactor = 75);
alter table stats_quarter_carriers drop column client, drop column sender, drop column tag,
    add primary key (at, shard, class, carrier, operator, country, reason, currency);
create table stats_day_carriers (like stats_quarter_carriers including all) with (fillfactor = 75);

create table stats_quarter_clients (like stats_quarter_all) with (fillfactor = 75);
alter table stats_quarter_clients drop column carrier, drop column operator, drop column country,
    add primary key (at, shard, client, class, sender, tag, reason, currency);
create table stats_day_clients (like stats_quarter_clients including all) with (fillfactor = 75);

comment on table stats_quarter_all is 'Messages by the quarter of an hour of accepting and what they are now; null is 0; tests are not in it';
comment on column stats_quarter_all.submit_latency is 'From accept, or send_at, to the first submit: messages of bucket k (gateway/latencies.py) times 10^(12 k), added up';
comment on column stats_quarter_all.delivery_latency is 'From submit to delivery, likewise';

create function latency_unit(ms bigint) returns numeric
    language sql immutable parallel safe
    return ('1e' || (12 * width_bucket(ms, array[
        2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 23, 27, 32, 39, 46, 54, 64, 77, 91, 108, 128,
        153, 182, 216, 256, 305, 363, 431, 512, 609, 725, 862, 1024, 1218, 1449, 1723, 2048, 2436, 2897, 3445,
        4096, 4871, 5793, 6889, 8192, 9742, 11586, 13778, 16384, 19484, 23171, 27555, 32768, 38968, 46341,
        55109, 65536, 77936, 92682, 110218, 131072, 155872, 185364, 220436, 262144, 311744, 370728, 440872,
        524288, 623488, 741456, 881744, 1048576, 1246975, 1482911, 1763488, 2097152, 2493949, 2965821, 3526976,
        4194304, 4987897, 5931642, 7053951, 8388608, 9975793, 11863284, 14107901, 16777216, 19951585, 23726567,
        28215802, 33554432, 39903170, 47453133, 56431604, 67108864, 79806339, 94906266, 112863207, 134217728,
        159612678, 189812532, 225726413]::bigint[]))::text)::numeric;
comment on function latency_unit is 'What one message that took so long adds to a histogram of latencies';

create function ms_between(earlier timestamptz, later timestamptz) returns bigint
    language sql immutable strict parallel safe
    return (extract(epoch from later - earlier) * 1000)::bigint;
comment on function ms_between is 'Milliseconds from one time to another';
