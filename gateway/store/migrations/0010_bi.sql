-- The schema `bi`: a star of facts (messages, submissions, receipts) and dimensions, for programs that nobody here wrote.
-- Additive: the former release does not know it. Dimensions are tables, because a key must not change; facts are views.
-- What it writes meanwhile has no keys until the names are seen again, or `sluice db bi-user` is run.

create table bi.carriers (
    carrier_key         integer generated always as identity primary key,
    carrier             text collate "C" not null unique
);
create table bi.operators (
    operator_key        integer generated always as identity primary key,
    operator            text collate "C" not null unique
);
create table bi.clients (
    client_key          integer generated always as identity primary key,
    client              text collate "C" not null unique
);
create table bi.senders (
    sender_key          integer generated always as identity primary key,
    sender              text collate "C" not null unique
);
create table bi.tags (
    tag_key             integer generated always as identity primary key,
    tag                 text collate "C" not null unique
);
insert into bi.carriers overriding system value values (0, '');
insert into bi.operators overriding system value values (0, '');
insert into bi.clients overriding system value values (0, '');
insert into bi.senders overriding system value values (0, '');
insert into bi.tags overriding system value values (0, '');
comment on table bi.carriers is 'Dimension: accounts at carriers that ever took a message';
comment on table bi.operators is 'Dimension: mobile networks of recipients';
comment on table bi.clients is 'Dimension: applications that send';
comment on table bi.senders is 'Dimension: what phones show as sender';
comment on table bi.tags is 'Dimension: words that applications give their messages to count them by';

create table bi.classes (
    class               text collate "C" primary key,
    urgency             smallint not null
);
insert into bi.classes values ('otp', 1), ('alert', 2), ('transactional', 3), ('marketing', 4);
comment on table bi.classes is 'Dimension: how urgent messages are';

create table bi.states (
    state               text collate "C" primary key,
    final               boolean not null,
    meaning             text not null
);
insert into bi.states values
    ('accepted', false, 'stored; waiting to be routed'),
    ('scheduled', false, 'stored; its time has not come'),
    ('routed', false, 'a carrier was chosen; waiting to be sent'),
    ('submitted', false, 'the carrier took it; no final receipt yet'),
    ('unknown', false, 'nobody knows yet whether the carrier took it'),
    ('delivered', true, 'the phone has it'),
    ('undeliverable', true, 'the carrier could not deliver it'),
    ('rejected', true, 'the carrier refused it'),
    ('failed', true, 'it could not be handed over'),
    ('expired', true, 'its validity ended, or no receipt came'),
    ('cancelled', true, 'the application took it back');
comment on table bi.states is 'Dimension: where a message stands';

create table bi.reasons (
    reason              text collate "C" primary key,
    meaning             text not null
);
insert into bi.reasons values
    ('throttled', 'the carrier asked us to slow down'),
    ('queue_full', 'the carrier''s queue is full'),
    ('temporary', 'the carrier had a temporary error'),
    ('no_answer', 'the carrier did not answer in time'),
    ('disconnected', 'the link to the carrier broke before it answered'),
    ('not_bound', 'no link to the carrier was up'),
    ('unauthorized', 'the carrier refused our credentials'),
    ('no_credit', 'the account at the carrier has no credit'),
    ('invalid_recipient', 'the carrier says that the number is not valid'),
    ('invalid_sender', 'the carrier does not accept this sender'),
    ('invalid_content', 'the carrier does not accept this text'),
    ('blocked', 'the carrier blocked the message'),
    ('unsupported', 'the carrier does not support what the message asks for'),
    ('unreachable', 'the phone could not be reached'),
    ('unknown_subscriber', 'the network does not know this subscriber'),
    ('handset', 'the phone refused the message'),
    ('carrier_error', 'the carrier reported an error'),
    ('carrier_expired', 'the carrier gave up after the message''s validity'),
    ('carrier_deleted', 'the carrier deleted the message'),
    ('no_route', 'no route of the plan takes this message'),
    ('no_carrier', 'no carrier of the route could take the message in time'),
    ('attempts_exhausted', 'every carrier of the route was tried'),
    ('validity', 'the validity ended before the message could be handed over'),
    ('no_receipt', 'no receipt came within validity and grace'),
    ('uncertain', 'it is not known whether the carrier took the message'),
    ('cancelled', 'the client cancelled the message'),
    ('damaged', 'a stored value could not be read'),
    ('limit', 'a limit of the plan has no room for it'),
    ('paused', 'an operator paused its carrier, class, client or tag'),
    ('budget', 'the budget of its client or tag is spent'),
    ('sender_not_registered', 'no carrier of the route may use this sender'),
    ('stopped', 'the recipient is on a stop list for this class'),
    ('window_hours', 'it is outside the hours in which the recipient may be sent to');
comment on table bi.reasons is 'Dimension: why a message or a submission did not go on';

create table bi.dates (
    date_key            integer primary key,
    date                date not null unique,
    year                integer not null,
    quarter             integer not null,
    month               integer not null,
    month_start         date not null,
    iso_year            integer not null,
    iso_week            integer not null,
    weekday             integer not null,
    weekday_name        text not null,
    weekend             boolean not null
);
insert into bi.dates
select to_char(d, 'YYYYMMDD')::integer, d::date, extract(year from d), extract(quarter from d), extract(month from d),
       date_trunc('month', d)::date, extract(isoyear from d), extract(week from d), extract(isodow from d),
       to_char(d, 'FMDay'), extract(isodow from d) > 5
from generate_series('2020-01-01'::timestamp, '2045-12-31', '1 day') d;
comment on table bi.dates is 'Dimension: days from 2020 to 2045';


-- Which days' rows changed, so that an incremental load reads no others. One row for a day and a connection that writes:
-- two of them never wait for each other.
create table changed_days (
    day                 date not null,
    writer              integer not null,
    primary key (day, writer)
) with (fillfactor = 50);
insert into changed_days
select distinct to_date(right(relname, 8), 'YYYYMMDD'), 0 from pg_class
where relnamespace = 'days'::regnamespace and relkind = 'r' and relname ~ '_[0-9]{8}$';

-- Test messages are few, and left out everywhere.
create index messages_test on messages (id) where test;

-- A transaction's number, as a row has it (32 bits), in full; null while a transaction with a smaller one may still
-- commit. `newest` and `oldest` are of the reader's snapshot. Rows older than 2^32 transactions seem newer than they
-- are, so they are read again, never left out.
create function settled_seq(x bigint, newest bigint, oldest bigint) returns bigint
    language sql immutable parallel safe
    return case when newest + 1048576 - ((newest + 1048576 - x) & 4294967295) < oldest
                then newest + 1048576 - ((newest + 1048576 - x) & 4294967295) end;

create function newest_seq() returns bigint
    language sql stable parallel safe
    return pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

create function oldest_seq() returns bigint
    language sql stable parallel safe
    return pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

create view bi.settled as
select oldest_seq() - 1 as changed_seq, (select system_identifier from pg_control_system())::text as generation;
comment on view bi.settled is 'One row: up to where incremental loads are complete, and whether they still go on from where they were';

create view bi.changed_days as
select day, max(newest_seq() + 1048576 - ((newest_seq() + 1048576 - xmin::text::bigint) & 4294967295)) as changed_seq
from changed_days group by day;
comment on view bi.changed_days is 'Days whose facts changed; bi.messages_since and its like read only these';


create or replace view bi.messages as
select m.id, id_time(m.id) as accepted_at, m.changed_at, m.client, m.class, m.sender, m.encoding, m.parts, m.state,
       nullif(m.reason, '') as reason, nullif(m.ref, '') as ref, nullif(m.tag, '') as tag, m.batch_id,
       nullif(m.carrier, '') as carrier, nullif(m.operator, '') as operator, nullif(m.route, '') as route,
       nullif(m.plan_version, 0) as plan_version, m.attempt as attempts,
       m.price_micro / 1000000.0 as price, m.cost_micro / 1000000.0 as cost, nullif(m.currency, '') as currency,
       m.send_at, m.deadline, m.routed_at, m.submitted_at, m.final_at,
       to_char(id_time(m.id) at time zone 'UTC', 'YYYYMMDD')::integer as date_key,
       coalesce(c.client_key, 0) as client_key, coalesce(a.carrier_key, 0) as carrier_key,
       coalesce(o.operator_key, 0) as operator_key, coalesce(s.sender_key, 0) as sender_key,
       coalesce(t.tag_key, 0) as tag_key,
       extract(epoch from m.submitted_at - greatest(id_time(m.id), m.send_at))::double precision as seconds_to_submit,
       case when m.state = 'delivered'
            then extract(epoch from m.final_at - m.submitted_at)::double precision end as seconds_to_deliver,
       settled_seq(m.xmin::text::bigint, (select newest_seq()), (select oldest_seq())) as changed_seq
from messages m
left join bi.clients c on c.client = m.client
left join bi.carriers a on a.carrier = m.carrier
left join bi.operators o on o.operator = m.operator
left join bi.senders s on s.sender = m.sender
left join bi.tags t on t.tag = m.tag
where not m.test;
comment on view bi.messages is 'Fact: one row a message that is not a test, as it stands now';

create view bi.submissions as
select u.message_id, u.attempt, u.part, u.parts, id_time(u.message_id) as accepted_at, u.sent_at, u.answered_at,
       greatest(u.sent_at, u.answered_at) as changed_at,
       (array['accepted', 'deferred', 'refused', 'uncertain'])[u.kind + 1] as outcome, u.late, u.carrier,
       nullif(u.operator, '') as operator, nullif(u.sender, '') as sender, nullif(u.bind, '') as bind,
       nullif(u.carrier_message_id, '') as carrier_message_id, nullif(u.reason, '') as reason,
       nullif(u.code, '') as code, nullif(u.route, '') as route, nullif(u.plan_version, 0) as plan_version,
       u.price_micro / 1000000.0 as price, nullif(u.currency, '') as currency, u.billed_on_delivery,
       extract(epoch from u.answered_at - u.sent_at)::double precision as seconds_to_answer,
       to_char(u.sent_at at time zone 'UTC', 'YYYYMMDD')::integer as date_key,
       coalesce(a.carrier_key, 0) as carrier_key, coalesce(o.operator_key, 0) as operator_key,
       m.client, m.class, nullif(m.tag, '') as tag,
       coalesce(c.client_key, 0) as client_key, coalesce(s.sender_key, 0) as sender_key,
       coalesce(t.tag_key, 0) as tag_key,
       settled_seq(u.xmin::text::bigint, (select newest_seq()), (select oldest_seq())) as changed_seq
from submissions u
left join messages m on m.id = u.message_id
left join bi.carriers a on a.carrier = u.carrier
left join bi.operators o on o.operator = u.operator
left join bi.clients c on c.client = m.client
left join bi.senders s on s.sender = coalesce(nullif(u.sender, ''), m.sender)
left join bi.tags t on t.tag = m.tag
where not exists (select from messages x where x.test and x.id = u.message_id);
comment on view bi.submissions is 'Fact: one row for each attempt to hand one part to a carrier; tests are left out';

create view bi.receipts as
select r.message_id, r.attempt, r.part, r.at, r.done_at, id_time(r.message_id) as accepted_at, r.carrier,
       nullif(r.carrier_message_id, '') as carrier_message_id, r.state, nullif(r.reason, '') as reason,
       nullif(r.code, '') as code, nullif(r.matched_by, '') as matched_by,
       to_char(r.at at time zone 'UTC', 'YYYYMMDD')::integer as date_key, coalesce(a.carrier_key, 0) as carrier_key,
       settled_seq(r.xmin::text::bigint, (select newest_seq()), (select oldest_seq())) as changed_seq
from receipts r
left join bi.carriers a on a.carrier = r.carrier
where r.message_id is not null and not exists (select from messages x where x.test and x.id = r.message_id);
comment on view bi.receipts is 'Fact: one row for each receipt that found its submission, doubled and late ones too; tests are left out';

create view bi.recipients as
select id as message_id, id_time(id) as accepted_at, recipient, recipient_hash, text,
       settled_seq(xmin::text::bigint, (select newest_seq()), (select oldest_seq())) as changed_seq
from messages where not test;
comment on view bi.recipients is 'Numbers and texts, for those who may see them: `sluice db bi-user --with-recipients`';


-- accepted_at stands in no index; the id does, and begins with the time. These read only the days that are asked for.
create function bi.messages_between(since timestamptz, until timestamptz) returns setof bi.messages
    language sql stable parallel safe rows 100000 as
$$ select * from bi.messages where id >= public.id_floor(since) and id < public.id_floor(until) $$;
comment on function bi.messages_between is 'Messages accepted at `since` or later and before `until`; reads only their days';

create function bi.messages_since(seq bigint) returns setof bi.messages
    language plpgsql stable rows 100000 as $$
declare
    one date;
begin
    for one in select day from bi.changed_days where changed_seq > seq order by day loop
        return query execute format(
            'select * from bi.messages where id >= %L and id < %L and changed_seq > %s',
            public.id_floor(one::timestamp at time zone 'UTC'), public.id_floor((one + 1)::timestamp at time zone 'UTC'), seq);
    end loop;
end $$;
comment on function bi.messages_since is 'Messages that changed after `seq`; reads only days that did';

create function bi.submissions_since(seq bigint) returns setof bi.submissions
    language plpgsql stable rows 100000 as $$
declare
    one date;
begin
    for one in select day from bi.changed_days where changed_seq > seq order by day loop
        return query execute format(
            'select * from bi.submissions where sent_at >= %L and sent_at < %L and changed_seq > %s',
            one::timestamp at time zone 'UTC', (one + 1)::timestamp at time zone 'UTC', seq);
    end loop;
end $$;
comment on function bi.submissions_since is 'Submissions that changed after `seq`; reads only days that did';

create function bi.receipts_since(seq bigint) returns setof bi.receipts
    language plpgsql stable rows 100000 as $$
declare
    one date;
begin
    for one in select day from bi.changed_days where changed_seq > seq order by day loop
        return query execute format(
            'select * from bi.receipts where at >= %L and at < %L and changed_seq > %s',
            one::timestamp at time zone 'UTC', (one + 1)::timestamp at time zone 'UTC', seq);
    end loop;
end $$;
comment on function bi.receipts_since is 'Receipts that came after `seq`; reads only days that have some';


-- Names that stand in facts and in no dimension: what a release before this one wrote.
create function fill_dimensions() returns void
    language sql as $$
    insert into bi.clients (client) select distinct client from messages on conflict do nothing;
    insert into bi.senders (sender)
    select sender from messages union select sender from submissions on conflict do nothing;
    insert into bi.tags (tag) select distinct tag from messages on conflict do nothing;
    insert into bi.carriers (carrier)
    select carrier from messages union select carrier from submissions on conflict do nothing;
    insert into bi.operators (operator)
    select operator from messages union select operator from submissions on conflict do nothing;
$$;
comment on function fill_dimensions is 'Gives every name in the facts its key in schema bi; reads them all';
select fill_dimensions();



-- What analysts see of it.
comment on column bi.carriers.carrier_key is 'Key; 0: none yet';
comment on column bi.carriers.carrier is 'Name of the account at a carrier, as in the plan';
comment on column bi.operators.operator_key is 'Key; 0: none is known';
comment on column bi.operators.operator is 'The recipient''s mobile network, as the plan names it';
comment on column bi.clients.client_key is 'Key; 0: none';
comment on column bi.clients.client is 'The application that asked for the message';
comment on column bi.senders.sender_key is 'Key; 0: none';
comment on column bi.senders.sender is 'What the phone shows as sender';
comment on column bi.tags.tag_key is 'Key; 0: no tag';
comment on column bi.tags.tag is 'The word that the application gave its messages to count them by';
comment on column bi.classes.class is 'Key: otp, alert, transactional or marketing';
comment on column bi.classes.urgency is '1 is the most urgent';
comment on column bi.states.state is 'Key: where a message stands';
comment on column bi.states.final is 'It will not change any more';
comment on column bi.states.meaning is 'In words';
comment on column bi.reasons.reason is 'Key: why a message or a submission did not go on';
comment on column bi.reasons.meaning is 'In words';
comment on column bi.dates.date_key is 'Key: the day as a number, 20261120';
comment on column bi.dates.date is 'The day, UTC';
comment on column bi.dates.year is 'Year';
comment on column bi.dates.quarter is '1 to 4';
comment on column bi.dates.month is '1 to 12';
comment on column bi.dates.month_start is 'The first day of its month';
comment on column bi.dates.iso_year is 'Year of the ISO week';
comment on column bi.dates.iso_week is 'ISO week, 1 to 53';
comment on column bi.dates.weekday is '1 is Monday, 7 is Sunday';
comment on column bi.dates.weekday_name is 'In English';
comment on column bi.dates.weekend is 'Saturday or Sunday';
comment on column bi.messages.id is 'The message; a UUID whose order is that of accepting';
comment on column bi.messages.accepted_at is 'When it was accepted, UTC; never changes';
comment on column bi.messages.changed_at is 'When it changed last, UTC, by the clock of whoever changed it; for incremental loads take changed_seq';
comment on column bi.messages.client is 'The application that asked for it';
comment on column bi.messages.class is 'otp, alert, transactional or marketing';
comment on column bi.messages.sender is 'The sender that was asked for';
comment on column bi.messages.encoding is 'gsm7 or ucs2';
comment on column bi.messages.parts is 'SMS that it is cut into';
comment on column bi.messages.state is 'Where it stands: see bi.states';
comment on column bi.messages.reason is 'Why it stands there: see bi.reasons; null: no reason is needed';
comment on column bi.messages.ref is 'The application''s own reference';
comment on column bi.messages.tag is 'The word to count it by';
comment on column bi.messages.batch_id is 'The batch that it came with';
comment on column bi.messages.carrier is 'Of the last attempt; null: none yet';
comment on column bi.messages.operator is 'The recipient''s network; null: not known';
comment on column bi.messages.route is 'The plan''s route of the last attempt';
comment on column bi.messages.plan_version is 'The plan of the last attempt';
comment on column bi.messages.attempts is 'How often it was routed to a carrier';
comment on column bi.messages.price is 'Price of one part of the last attempt, in currency';
comment on column bi.messages.cost is 'What all its parts and attempts cost, in currency';
comment on column bi.messages.currency is 'ISO 4217';
comment on column bi.messages.send_at is 'When it was to be sent; null: at once';
comment on column bi.messages.deadline is 'When it is worth nothing any more';
comment on column bi.messages.routed_at is 'When the last attempt was routed';
comment on column bi.messages.submitted_at is 'When the first part that a carrier took was handed to it';
comment on column bi.messages.final_at is 'When it came to its final state; null: it has not';
comment on column bi.messages.date_key is 'Day of accepted_at, UTC: bi.dates';
comment on column bi.messages.client_key is 'bi.clients';
comment on column bi.messages.carrier_key is 'bi.carriers; 0: none yet';
comment on column bi.messages.operator_key is 'bi.operators; 0: not known';
comment on column bi.messages.sender_key is 'bi.senders';
comment on column bi.messages.tag_key is 'bi.tags; 0: no tag';
comment on column bi.messages.seconds_to_submit is 'From accepting, or send_at, until submitted_at';
comment on column bi.messages.seconds_to_deliver is 'From then until it was delivered; null unless it is';
comment on column bi.messages.changed_seq is 'Grows with every change; null while a smaller one may still come. Load where changed_seq is greater than the greatest you have';
comment on column bi.submissions.message_id is 'bi.messages.id';
comment on column bi.submissions.attempt is 'From 1: how often the message was routed';
comment on column bi.submissions.part is 'Part of the message from 1; 0: the whole';
comment on column bi.submissions.parts is 'Of how many parts';
comment on column bi.submissions.accepted_at is 'When the message was accepted, UTC; never changes';
comment on column bi.submissions.sent_at is 'When it was handed to the carrier, UTC; never changes';
comment on column bi.submissions.answered_at is 'When the carrier answered';
comment on column bi.submissions.changed_at is 'When it changed last, UTC: its answer';
comment on column bi.submissions.outcome is 'accepted, deferred, refused or uncertain';
comment on column bi.submissions.late is 'The answer came after we had given up waiting';
comment on column bi.submissions.carrier is 'Who it was handed to';
comment on column bi.submissions.operator is 'The recipient''s network; null: not known';
comment on column bi.submissions.sender is 'The sender that it went out with, where a route replaced it';
comment on column bi.submissions.bind is 'The session that carried it';
comment on column bi.submissions.carrier_message_id is 'What the carrier calls it';
comment on column bi.submissions.reason is 'Why not: see bi.reasons';
comment on column bi.submissions.code is 'The carrier''s own code';
comment on column bi.submissions.route is 'The plan''s route';
comment on column bi.submissions.plan_version is 'The plan';
comment on column bi.submissions.price is 'Price of this part, in currency';
comment on column bi.submissions.currency is 'ISO 4217';
comment on column bi.submissions.billed_on_delivery is 'It costs something only once delivered';
comment on column bi.submissions.seconds_to_answer is 'How long the carrier took to answer';
comment on column bi.submissions.date_key is 'Day of sent_at, UTC: bi.dates';
comment on column bi.submissions.carrier_key is 'bi.carriers';
comment on column bi.submissions.operator_key is 'bi.operators; 0: not known';
comment on column bi.submissions.client is 'The message''s';
comment on column bi.submissions.class is 'The message''s';
comment on column bi.submissions.tag is 'The message''s';
comment on column bi.submissions.client_key is 'bi.clients';
comment on column bi.submissions.sender_key is 'bi.senders: the replacement, else the message''s own';
comment on column bi.submissions.tag_key is 'bi.tags; 0: no tag';
comment on column bi.submissions.changed_seq is 'As in bi.messages';
comment on column bi.receipts.message_id is 'bi.messages.id';
comment on column bi.receipts.attempt is 'Of the submission that it belongs to';
comment on column bi.receipts.part is 'Part of the message from 1; 0: the whole';
comment on column bi.receipts.at is 'When it came, UTC; never changes';
comment on column bi.receipts.done_at is 'When it happened, as the carrier says';
comment on column bi.receipts.accepted_at is 'When the message was accepted, UTC; never changes';
comment on column bi.receipts.carrier is 'Whose it is';
comment on column bi.receipts.carrier_message_id is 'What the carrier calls the submission';
comment on column bi.receipts.state is 'What it says';
comment on column bi.receipts.reason is 'Why: see bi.reasons';
comment on column bi.receipts.code is 'The carrier''s own code';
comment on column bi.receipts.matched_by is 'How its submission was found';
comment on column bi.receipts.date_key is 'Day of at, UTC: bi.dates';
comment on column bi.receipts.carrier_key is 'bi.carriers';
comment on column bi.receipts.changed_seq is 'As in bi.messages';
comment on column bi.recipients.message_id is 'bi.messages.id';
comment on column bi.recipients.accepted_at is 'When the message was accepted, UTC; never changes';
comment on column bi.recipients.recipient is 'The phone number, E.164, or ciphertext';
comment on column bi.recipients.recipient_hash is 'The same for the same number; means nothing outside this installation';
comment on column bi.recipients.text is 'The text, or ciphertext';
comment on column bi.recipients.changed_seq is 'As in bi.messages';
comment on column bi.settled.changed_seq is 'No change with this number or a smaller one can still come';
comment on column bi.settled.generation is 'Another value: the database was restored or moved, and everything is to be loaded again';
comment on column bi.changed_days.day is 'A UTC day';
comment on column bi.changed_days.changed_seq is 'Not before which messages of this day, or submissions and receipts of this day, changed last';
comment on column bi.orphans.at is 'When it came, UTC';
comment on column bi.orphans.carrier is 'Whose it is';
comment on column bi.orphans.carrier_message_id is 'What the carrier calls the submission';
comment on column bi.orphans.state is 'What it says';
comment on column bi.orphans.reason is 'Why: see bi.reasons';
comment on column bi.orphans.code is 'The carrier''s own code';
comment on column bi.orphans.bind is 'The session that brought it';
comment on column bi.orphans.done_at is 'When it happened, as the carrier says';
comment on column bi.uncertain.message_id is 'bi.messages.id';
comment on column bi.uncertain.sent_at is 'When it was handed to the carrier, UTC';
comment on column bi.uncertain.attempt is 'From 1: how often the message was routed';
comment on column bi.uncertain.part is 'Part of the message from 1; 0: the whole';
comment on column bi.uncertain.carrier is 'Who it was handed to';
comment on column bi.uncertain.operator is 'The recipient''s network';
comment on column bi.uncertain.reason is 'Why nobody knows';
comment on column bi.uncertain.route is 'The plan''s route';
comment on column bi.uncertain.plan_version is 'The plan';
comment on column bi.uncertain.price is 'Price of this part, in currency';
comment on column bi.uncertain.currency is 'ISO 4217';
