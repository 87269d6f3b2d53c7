-- Callbacks to applications: endpoints, their secrets, and the outbox as the notifier reads it. Additive: the former
-- release writes into `callbacks` as before, and what it writes is sent.

create table endpoints (
    id                  text primary key,
    client              text not null references clients,
    url                 text not null,
    events              text[] not null,
    bundle              boolean not null default false,
    description         text not null default '',
    secret              bytea not null,
    former_secret       bytea,
    former_until        timestamptz,
    created_at          timestamptz not null default now(),
    changed_at          timestamptz not null default now(),
    expires_at          timestamptz,
    disabled_at         timestamptz,
    disabled_why        text not null default '',
    failing_since       timestamptz,
    last_error          text not null default ''
);
create index endpoints_client on endpoints (client);
comment on column endpoints.former_secret is 'Signs beside `secret` until former_until';
comment on column endpoints.expires_at is 'Temporary endpoints (sluice listen) go away by themselves';

-- What signs requests to a message's own callback_url.
create table callback_secrets (
    client              text primary key,
    secret              bytea not null,
    former_secret       bytea,
    former_until        timestamptz
);


-- Events that nobody tried to deliver yet: one row holds up to 500 of one target, because a row of its own for each
-- would cost more than all the rest of a callback. What was tried becomes a row of `callbacks`.
create table callback_batches (
    id                  bigint generated always as identity primary key,
    at                  timestamptz not null,
    slot                smallint not null,
    count               smallint not null,
    client              text not null,
    endpoint            text not null,
    target              text collate "C" not null,
    settled             bytea not null default '',
    events              bytea not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table callback_batches alter column events set storage external;
create index callback_batches_target on callback_batches (slot, target, id);
comment on column callback_batches.target is 'The endpoint, or client and origin of callback URLs: what is sent in turn';
comment on column callback_batches.settled is 'Bit mask of events that have their row in callbacks by now';

-- Which notifier may book: the one that raised the token last.
create table callback_slots (
    slot                smallint primary key,
    token               bigint not null default 0
);
insert into callback_slots (slot) select generate_series(0, 7);


-- One row for each event and target that was tried. `done_at`: delivered, or given up with outcome `failed`.
alter table callbacks
    add column endpoint    text not null default '',
    add column target      text collate "C" not null default '',
    add column outcome     text not null default '',
    add column give_up_at  timestamptz,
    add column slot        smallint not null default 0,
    add column status      smallint not null default 0,
    add column ref         text not null default '',
    add column tag         text not null default '',
    add column meta        text not null default '';
update callbacks set outcome = 'delivered' where done_at is not null;
alter table callbacks drop constraint callbacks_pkey, add primary key (message_id, seq, endpoint);
create index callbacks_waiting on callbacks (slot, target, next_try_at) where done_at is null;
create index callbacks_failed on callbacks (client, done_at) where outcome = 'failed';
comment on column callbacks.target is 'As in callback_batches; empty in rows of the former release until a notifier sees them';
comment on column callbacks.ref is 'With tag and meta: as the event has them, while it is not delivered; then they are empty';
comment on column callbacks.status is 'HTTP status of the last answer; 0: there was none';
