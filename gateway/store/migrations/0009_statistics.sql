-- Slices of statistics: sums by quarter of an hour, hour and UTC day of accepting over every dimension, with a column for
-- each state and latencies as histograms. Booked in the transaction that moves the message, as stats_minute is. Additive:
-- the former release does not know them. What it accepts has no country and is in no slice, until `sluice db recount`.

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

-- Fewer dimensions and fewer rows, for what is asked most; by hours, because most zones need no finer ones.
create table stats_hour_sides (like stats_quarter_all) with (fillfactor = 75);
alter table stats_hour_sides drop column country, drop column sender, drop column tag, drop column reason,
    add primary key (at, shard, client, class, carrier, operator, currency);
create table stats_day_sides (like stats_hour_sides including all) with (fillfactor = 75);

create table stats_hour_carriers (like stats_quarter_all) with (fillfactor = 75);
alter table stats_hour_carriers drop column client, drop column sender, drop column tag,
    add primary key (at, shard, class, carrier, operator, country, reason, currency);
create table stats_day_carriers (like stats_hour_carriers including all) with (fillfactor = 75);

create table stats_hour_clients (like stats_quarter_all) with (fillfactor = 75);
alter table stats_hour_clients drop column carrier, drop column operator, drop column country,
    add primary key (at, shard, client, class, sender, tag, reason, currency);
create table stats_day_clients (like stats_hour_clients including all) with (fillfactor = 75);

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

create view bi.stats_days as
select (at at time zone 'UTC')::date as day,
    nullif(client, '') as client, nullif(class, '') as class, nullif(carrier, '') as carrier, nullif(operator, '') as operator,
    nullif(country, '') as country, nullif(sender, '') as sender, nullif(tag, '') as tag, nullif(reason, '') as reason,
    coalesce(accepted, 0) + coalesce(scheduled, 0) + coalesce(routed, 0) + coalesce(submitted, 0) +
        coalesce(unknown, 0) + coalesce(delivered, 0) + coalesce(undeliverable, 0) + coalesce(rejected, 0) +
        coalesce(failed, 0) + coalesce(expired, 0) + coalesce(cancelled, 0) as messages,
    coalesce(delivered, 0) as delivered,
    coalesce(undeliverable, 0) + coalesce(rejected, 0) + coalesce(failed, 0) + coalesce(expired, 0) as undelivered,
    coalesce(cancelled, 0) as cancelled,
    coalesce(unknown, 0) as unknown,
    coalesce(accepted, 0) + coalesce(scheduled, 0) + coalesce(routed, 0) + coalesce(submitted, 0) +
        coalesce(unknown, 0) as open,
    coalesce(accepted_parts, 0) + coalesce(scheduled_parts, 0) + coalesce(routed_parts, 0) +
        coalesce(submitted_parts, 0) + coalesce(unknown_parts, 0) + coalesce(delivered_parts, 0) +
        coalesce(undeliverable_parts, 0) + coalesce(rejected_parts, 0) + coalesce(failed_parts, 0) +
        coalesce(expired_parts, 0) + coalesce(cancelled_parts, 0) as parts,
    coalesce(delivered_parts, 0) as parts_delivered,
    (coalesce(accepted_cost_micro, 0) + coalesce(scheduled_cost_micro, 0) + coalesce(routed_cost_micro, 0) +
        coalesce(submitted_cost_micro, 0) + coalesce(unknown_cost_micro, 0) + coalesce(delivered_cost_micro,
        0) + coalesce(undeliverable_cost_micro, 0) + coalesce(rejected_cost_micro, 0) +
        coalesce(failed_cost_micro, 0) + coalesce(expired_cost_micro, 0) + coalesce(cancelled_cost_micro,
        0)) / 1000000.0 as cost,
    nullif(currency, '') as currency,
    submit_latency, delivery_latency
from stats_day_all;
comment on view bi.stats_days is 'Messages by the UTC day of accepting: add up what you need; rates are quotients of sums';
comment on column bi.stats_days.day is 'The UTC day of accepting';
comment on column bi.stats_days.client is 'Whose message it is';
comment on column bi.stats_days.class is 'otp, alert, transactional or marketing';
comment on column bi.stats_days.carrier is 'The carrier of the last attempt; empty: none yet';
comment on column bi.stats_days.operator is 'The recipient''s network, as the last attempt was routed';
comment on column bi.stats_days.country is 'Of the recipient''s number, ISO 3166; of countries with one calling code the largest, but for +1 and +7';
comment on column bi.stats_days.sender is 'The sender that the client asked for';
comment on column bi.stats_days.tag is 'The client''s own dimension';
comment on column bi.stats_days.reason is 'Why it stands where it stands; empty: nothing is wrong';
comment on column bi.stats_days.messages is 'Messages accepted in this time, as they stand now; test messages are left out';
comment on column bi.stats_days.delivered is 'Messages that arrived';
comment on column bi.stats_days.undelivered is 'Messages that ended as undeliverable, rejected, failed or expired';
comment on column bi.stats_days.cancelled is 'Messages that were cancelled';
comment on column bi.stats_days.unknown is 'Messages of which nobody knows whether the carrier took them';
comment on column bi.stats_days.open is 'Messages that have not ended; unknown ones are among them';
comment on column bi.stats_days.parts is 'Parts of the messages';
comment on column bi.stats_days.parts_delivered is 'Parts of the messages that arrived';
comment on column bi.stats_days.cost is 'What carriers ask for the parts of all attempts, at the prices of their time; one sum a currency';
comment on column bi.stats_days.submit_latency is 'From accept, or send_at, to the first submit that was taken: p50, p95, p99, within 10 percent';
comment on column bi.stats_days.delivery_latency is 'From that submit to the receipt that says delivered: p50, p95, p99, within 10 percent';
comment on column bi.stats_days.currency is 'Of cost, ISO 4217; null: nothing was submitted';

create view bi.stats_quarters as
select at,
    nullif(client, '') as client, nullif(class, '') as class, nullif(carrier, '') as carrier, nullif(operator, '') as operator,
    nullif(country, '') as country, nullif(sender, '') as sender, nullif(tag, '') as tag, nullif(reason, '') as reason,
    coalesce(accepted, 0) + coalesce(scheduled, 0) + coalesce(routed, 0) + coalesce(submitted, 0) +
        coalesce(unknown, 0) + coalesce(delivered, 0) + coalesce(undeliverable, 0) + coalesce(rejected, 0) +
        coalesce(failed, 0) + coalesce(expired, 0) + coalesce(cancelled, 0) as messages,
    coalesce(delivered, 0) as delivered,
    coalesce(undeliverable, 0) + coalesce(rejected, 0) + coalesce(failed, 0) + coalesce(expired, 0) as undelivered,
    coalesce(cancelled, 0) as cancelled,
    coalesce(unknown, 0) as unknown,
    coalesce(accepted, 0) + coalesce(scheduled, 0) + coalesce(routed, 0) + coalesce(submitted, 0) +
        coalesce(unknown, 0) as open,
    coalesce(accepted_parts, 0) + coalesce(scheduled_parts, 0) + coalesce(routed_parts, 0) +
        coalesce(submitted_parts, 0) + coalesce(unknown_parts, 0) + coalesce(delivered_parts, 0) +
        coalesce(undeliverable_parts, 0) + coalesce(rejected_parts, 0) + coalesce(failed_parts, 0) +
        coalesce(expired_parts, 0) + coalesce(cancelled_parts, 0) as parts,
    coalesce(delivered_parts, 0) as parts_delivered,
    (coalesce(accepted_cost_micro, 0) + coalesce(scheduled_cost_micro, 0) + coalesce(routed_cost_micro, 0) +
        coalesce(submitted_cost_micro, 0) + coalesce(unknown_cost_micro, 0) + coalesce(delivered_cost_micro,
        0) + coalesce(undeliverable_cost_micro, 0) + coalesce(rejected_cost_micro, 0) +
        coalesce(failed_cost_micro, 0) + coalesce(expired_cost_micro, 0) + coalesce(cancelled_cost_micro,
        0)) / 1000000.0 as cost,
    nullif(currency, '') as currency,
    submit_latency, delivery_latency
from stats_quarter_all;
comment on view bi.stats_quarters is 'Messages by the quarter of an hour of accepting: add up what you need; rates are quotients of sums';
comment on column bi.stats_quarters.at is 'Where the quarter of an hour of accepting begins';
comment on column bi.stats_quarters.client is 'Whose message it is';
comment on column bi.stats_quarters.class is 'otp, alert, transactional or marketing';
comment on column bi.stats_quarters.carrier is 'The carrier of the last attempt; empty: none yet';
comment on column bi.stats_quarters.operator is 'The recipient''s network, as the last attempt was routed';
comment on column bi.stats_quarters.country is 'Of the recipient''s number, ISO 3166; of countries with one calling code the largest, but for +1 and +7';
comment on column bi.stats_quarters.sender is 'The sender that the client asked for';
comment on column bi.stats_quarters.tag is 'The client''s own dimension';
comment on column bi.stats_quarters.reason is 'Why it stands where it stands; empty: nothing is wrong';
comment on column bi.stats_quarters.messages is 'Messages accepted in this time, as they stand now; test messages are left out';
comment on column bi.stats_quarters.delivered is 'Messages that arrived';
comment on column bi.stats_quarters.undelivered is 'Messages that ended as undeliverable, rejected, failed or expired';
comment on column bi.stats_quarters.cancelled is 'Messages that were cancelled';
comment on column bi.stats_quarters.unknown is 'Messages of which nobody knows whether the carrier took them';
comment on column bi.stats_quarters.open is 'Messages that have not ended; unknown ones are among them';
comment on column bi.stats_quarters.parts is 'Parts of the messages';
comment on column bi.stats_quarters.parts_delivered is 'Parts of the messages that arrived';
comment on column bi.stats_quarters.cost is 'What carriers ask for the parts of all attempts, at the prices of their time; one sum a currency';
comment on column bi.stats_quarters.submit_latency is 'From accept, or send_at, to the first submit that was taken: p50, p95, p99, within 10 percent';
comment on column bi.stats_quarters.delivery_latency is 'From that submit to the receipt that says delivered: p50, p95, p99, within 10 percent';
comment on column bi.stats_quarters.currency is 'Of cost, ISO 4217; null: nothing was submitted';
