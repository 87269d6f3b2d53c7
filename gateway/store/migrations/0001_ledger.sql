-- The ledger: every message, what was submitted, what came back, and the roll-ups booked in the same transactions.
-- Text that stands in an index is compared by bytes (collate "C"), whatever the locale of the database.
-- Times are timestamptz, money is bigint millionths of `currency`, an id is a UUIDv7 whose first 48 bits are the ms of
-- accepting. Big tables are partitioned by UTC day; their partitions live in schema `days` and are made by ensure_day().

create schema days;
create schema bi;

-- Keys of this installation that are not anybody's credentials: `recipient` keys the hash of phone numbers.
create table secrets (
    name  text primary key,
    value bytea not null
);
insert into secrets
values ('recipient', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

create function id_floor(at timestamptz) returns uuid
    language sql immutable strict parallel safe
    return (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
comment on function id_floor is 'The smallest id of a message accepted at this time or later';

create function id_time(id uuid) returns timestamptz
    language sql immutable strict parallel safe
    return to_timestamp(('x0000' || left(replace(id::text, '-', ''), 12))::bit(64)::bigint / 1000.0);
comment on function id_time is 'When the message with this id was accepted';


-- The heart: one row a message. Columns that change stand in no index, and half of every page is left free, so that an
-- update stays on its page (HOT) and costs a third.
create table messages (
    id                  uuid not null,
    batch_id            uuid,
    deadline            timestamptz not null,
    send_at             timestamptz,
    changed_at          timestamptz not null,
    routed_at           timestamptz,
    submitted_at        timestamptz,
    final_at            timestamptz,
    recipient_hash      bigint not null,
    plan_version        bigint not null default 0,
    price_micro         bigint not null default 0,
    cost_micro          bigint not null default 0,
    accepted_mask       bigint not null default 0,
    delivered_mask      bigint not null default 0,
    undeliverable_mask  bigint not null default 0,
    unsure_mask         bigint not null default 0,
    rev                 integer not null default 1,
    seq                 integer not null default 0,
    concat_ref          integer not null default 0,
    parts               smallint not null,
    attempt             smallint not null default 0,
    units               smallint not null default 0,
    test                boolean not null default false,
    earlier             bytea not null default '',
    client              text collate "C" not null,
    class               text collate "C" not null,
    recipient           text not null,
    sender              text not null,
    text                text not null,
    encoding            text not null,
    state               text collate "C" not null,
    reason              text not null default '',
    ref                 text collate "C" not null default '',
    tag                 text collate "C" not null default '',
    meta                text not null default '',
    callback_url        text not null default '',
    key_id              text not null default '',
    traceparent         text not null default '',
    carrier             text collate "C" not null default '',
    operator            text collate "C" not null default '',
    route               text not null default '',
    currency            text collate "C" not null default '',
    primary key (id)
) partition by range (id);
create index messages_ref on messages (client, ref) where ref <> '';
create index messages_recipient on messages (recipient_hash);
create index messages_batch on messages (batch_id) where batch_id is not null;
comment on column messages.price_micro is 'Price of one part of the current attempt, millionths of currency';
comment on column messages.cost_micro is 'What all accepted parts of all attempts cost, millionths of currency';
comment on column messages.units is 'Submissions that the current attempt needs: 1 when the carrier takes it whole, else its parts';
comment on column messages.accepted_mask is 'Units of the current attempt that the carrier took; bit 0 is the first';
comment on column messages.unsure_mask is 'Units of the current attempt that may or may not have reached the carrier';
comment on column messages.earlier is 'Masks of the attempts before the current one (msgpack); empty for most messages';
comment on column messages.rev is 'Raised by every update; a writer that read another rev starts again';
comment on column messages.seq is 'Callbacks made for this message so far';
comment on column messages.recipient_hash is 'Keyed hash of the E.164 number; recipient and text may hold ciphertext';


-- Insert-only: one row for each attempt to hand one part (0: the whole) to one carrier. Only an uncertain row (kind 3)
-- is ever updated, by the late answer that heals it.
create table submissions (
    message_id          uuid not null,
    sent_at             timestamptz not null,
    answered_at         timestamptz not null,
    routed_at           timestamptz,
    price_micro         bigint not null,
    plan_version        bigint not null,
    echo                integer not null,
    attempt             smallint not null,
    part                smallint not null,
    parts               smallint not null,
    kind                smallint not null,
    late                boolean not null,
    carrier             text collate "C" not null,
    carrier_message_id  text collate "C" not null,
    bind                text not null,
    reason              text not null,
    code                text not null,
    operator            text collate "C" not null,
    currency            text collate "C" not null,
    route               text not null
) partition by range (sent_at);
create index submissions_message on submissions (message_id, attempt, part);
create index submissions_carrier_id on submissions (carrier_message_id, carrier) where carrier_message_id <> '';
create index submissions_uncertain on submissions (carrier, sent_at) where kind = 3;
comment on column submissions.kind is '0 accepted, 1 deferred, 2 refused, 3 uncertain';


-- Insert-only: every receipt, also doubled, late, contradicting and foreign ones. One that matches nothing waits in
-- receipts_waiting first; an orphan has no message_id.
create table receipts (
    message_id          uuid,
    at                  timestamptz not null,
    done_at             timestamptz,
    echo                integer not null,
    attempt             smallint not null,
    part                smallint not null,
    carrier             text collate "C" not null,
    carrier_message_id  text collate "C" not null,
    bind                text not null,
    state               text not null,
    reason              text not null,
    code                text not null,
    recipient           text not null,
    sender              text not null,
    raw                 text not null,
    matched_by          text not null
) partition by range (at);
create index receipts_message on receipts (message_id) where message_id is not null;
create index receipts_orphan on receipts (carrier, at) where message_id is null;

create table receipts_waiting (
    id                  bigint generated always as identity primary key,
    at                  timestamptz not null,
    done_at             timestamptz,
    next_try_at         timestamptz not null,
    tries               integer not null default 0,
    echo                integer not null,
    carrier             text collate "C" not null,
    carrier_message_id  text collate "C" not null,
    bind                text not null,
    state               text not null,
    reason              text not null,
    code                text not null,
    recipient           text not null,
    sender              text not null,
    raw                 text not null
);
create index receipts_waiting_due on receipts_waiting (next_try_at);


create table inbound (
    id                  uuid not null default gen_random_uuid(),
    at                  timestamptz not null,
    sender_hash         bigint not null,
    carrier             text not null,
    bind                text not null,
    sender              text not null,
    recipient           text not null,
    text                text not null,
    segment_ref         integer,
    segment_total       smallint,
    segment_number      smallint,
    raw                 bytea not null
) partition by range (at);
create index inbound_at on inbound (at);
create index inbound_sender on inbound (sender_hash);


-- What a timeline shows beside submissions and receipts: parked, held, rescheduled, ended.
create table notes (
    message_id          uuid not null,
    at                  timestamptz not null,
    until               timestamptz,
    attempt             smallint not null,
    event               text not null,
    state               text not null,
    reason              text not null,
    by                  text not null
) partition by range (at);
create index notes_message on notes (message_id);

-- One row for what waited in one lane when it was looked at: open messages with ids from first_id to last_id.
create table waiting (
    first_id            uuid not null,
    last_id             uuid not null,
    at                  timestamptz not null,
    until               timestamptz,
    count               integer not null,
    place               text not null,
    class               text collate "C" not null,
    client              text collate "C" not null,
    carrier             text not null,
    why                 text not null
) partition by range (at);
create index waiting_lane on waiting (client, class, last_id);

create table batches (
    id                  uuid primary key,
    at                  timestamptz not null,
    client              text not null,
    accepted            integer not null,
    duplicates          integer not null,
    rejected            integer not null
);


-- Transactional outbox: one row for each event that an application is to hear of. event id: message id and seq.
create table callbacks (
    message_id          uuid not null,
    at                  timestamptz not null,
    next_try_at         timestamptz not null,
    done_at             timestamptz,
    seq                 integer not null,
    tries               integer not null default 0,
    client              text not null,
    url                 text not null,
    state               text not null,
    reason              text not null,
    error               text not null default '',
    primary key (message_id, seq)
) with (fillfactor = 70);
create index callbacks_due on callbacks (next_try_at) where done_at is null;


-- Roll-ups by the minute and hour of accepting. Keyed by shard, so that recorders never lock each other. A change of a
-- message books - old + new. Test messages are not in them.
create table stats_minute (
    at                  timestamptz not null,
    messages            bigint not null,
    parts               bigint not null,
    cost_micro          bigint not null,
    shard               smallint not null,
    client              text collate "C" not null,
    class               text collate "C" not null,
    carrier             text collate "C" not null,
    operator            text collate "C" not null,
    state               text collate "C" not null,
    tag                 text collate "C" not null,
    currency            text collate "C" not null,
    primary key (at, shard, client, class, carrier, operator, state, tag, currency)
) with (fillfactor = 60);
create table stats_hour (like stats_minute including all) with (fillfactor = 60);

-- Where to look for messages whose receipt never came: ids of one accepting hour whose deadline lies in one due span.
create table deadlines (
    due                 timestamptz not null,
    accepted            timestamptz not null,
    look_at             timestamptz not null,
    first_id            uuid not null,
    last_id             uuid not null,
    shard               smallint not null,
    primary key (due, accepted, shard)
) with (fillfactor = 60);


-- Where each shard's recorder stands, for every run of the Redis server that it has read from.
create table offsets (
    shard               smallint not null,
    run                 text not null,
    last_id             text not null,
    at                  timestamptz not null default clock_timestamp(),
    primary key (shard, run)
) with (fillfactor = 50);

comment on column offsets.last_id is 'The last entry of this run that is recorded here; 0-0: none yet';

-- What the recorder could not write, as it came.
create table quarantine (
    id                  bigint generated always as identity primary key,
    at                  timestamptz not null default now(),
    shard               smallint not null,
    entry               text not null,
    what                text not null,
    message_id          uuid,
    error               text not null,
    raw                 bytea not null
);


create table clients (
    name                text primary key,
    created_at          timestamptz not null default now(),
    disabled_at         timestamptz,
    quotas              jsonb not null default '{}'
);
create table keys (
    id                  text primary key,
    client              text not null references clients,
    hash                bytea not null unique,
    name                text not null default '',
    scopes              text[] not null,
    classes             text[] not null default '{}',
    networks            text[] not null default '{}',
    test                boolean not null default false,
    created_at          timestamptz not null default now(),
    expires_at          timestamptz,
    revoked_at          timestamptz
);
create index keys_client on keys (client);

create table plans (
    version             bigint generated always as identity primary key,
    document            text not null,
    sha256              bytea not null,
    note                text not null default '',
    created_at          timestamptz not null default now(),
    created_by          text not null,
    activated_at        timestamptz,
    activated_by        text
);
create table plan_active (
    "only"              boolean primary key default true check ("only"),
    version             bigint not null references plans,
    since               timestamptz not null default now()
);
create table audit (
    at                  timestamptz not null default now(),
    who                 text not null,
    what                text not null,
    subject             text not null,
    details             jsonb not null default '{}'
);
create index audit_at on audit (at);


-- A partition is built beside its parent and then attached, which blocks neither readers nor writers.
create function ensure_day(day date) returns integer
    language plpgsql as $$
declare
    parent text;
    made   integer := 0;
    child  text;
    low    text;
    high   text;
    start  timestamptz := day::timestamp at time zone 'UTC';
    stop   timestamptz := (day + 1)::timestamp at time zone 'UTC';
begin
    perform pg_advisory_xact_lock(7517005, 1);
    foreach parent in array array['messages', 'submissions', 'receipts', 'inbound', 'notes', 'waiting'] loop
        child := parent || to_char(day, '"_"YYYYMMDD');
        if to_regclass('days.' || quote_ident(child)) is not null then
            continue;
        end if;
        if parent = 'messages' then
            low := quote_literal(id_floor(start));
            high := quote_literal(id_floor(stop));
        else
            low := quote_literal(start);
            high := quote_literal(stop);
        end if;
        execute format('create table days.%I (like public.%I including all) with (fillfactor = %s)',
                       child, parent, case parent when 'messages' then 50 else 100 end);
        execute format('alter table public.%I attach partition days.%I for values from (%s) to (%s)',
                       parent, child, low, high);
        made := made + 1;
    end loop;
    return made;
end $$;
comment on function ensure_day is 'Make the partitions of one UTC day; returns how many were missing';

select ensure_day(current_date + n) from generate_series(-1, 3) n;


create view bi.messages as
select id, id_time(id) as accepted_at, changed_at, client, class, sender, encoding, parts, state,
       nullif(reason, '') as reason, nullif(ref, '') as ref, nullif(tag, '') as tag, batch_id,
       nullif(carrier, '') as carrier, nullif(operator, '') as operator, nullif(route, '') as route,
       nullif(plan_version, 0) as plan_version, attempt as attempts,
       price_micro / 1000000.0 as price, cost_micro / 1000000.0 as cost, nullif(currency, '') as currency,
       send_at, deadline, routed_at, submitted_at, final_at
from messages
where not test;
comment on view bi.messages is 'One row a message that is not a test; cost is what all its accepted parts cost';
