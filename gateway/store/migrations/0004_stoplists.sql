-- Stop lists: who is not to be sent what. One row for a number, a list and whoever put it there, so that a START of the
-- subscriber takes away what his STOP had put there, and nothing else.
create table stops (
    id                  bigint generated always as identity,
    recipient_hash      bigint not null,
    at                  timestamptz not null default now(),
    class_mask          smallint not null check (class_mask between 1 and 15),
    client              text collate "C" not null default '',
    source              text collate "C" not null check (source in ('operator', 'client', 'import', 'inbound')),
    recipient           text not null,
    who                 text not null,
    reason              text not null default '',
    primary key (recipient_hash, client, source)
);
create unique index stops_id on stops (id);
create index stops_client on stops (client, id);
comment on column stops.recipient_hash is 'Keyed hash of the E.164 number, as in messages; recipient may hold ciphertext, or nothing once it is erased';
comment on column stops.class_mask is 'What is stopped: 1 otp, 2 alert, 4 transactional, 8 marketing, or a sum of them';
comment on column stops.client is 'Whose messages are stopped; empty: everybody''s';

-- Every process keeps the lists as 1,024 buckets, each a range of hashes. What changes here is noted by bucket, until
-- it is published; a bucket's version is that of its last publication.
create table stop_changes (
    bucket              smallint not null
);
create table stop_buckets (
    bucket              smallint primary key,
    version             bigint not null
) with (fillfactor = 50);

create function stop_bucket(recipient_hash bigint) returns smallint
    language sql immutable strict parallel safe
    return ((recipient_hash >> 54) + 512)::smallint;

create function note_stops() returns trigger
    language plpgsql as $$
begin
    insert into stop_changes select distinct stop_bucket(recipient_hash) from changed_stops;
    return null;
end $$;
create trigger stops_inserted after insert on stops referencing new table as changed_stops
    for each statement execute function note_stops();
create trigger stops_updated after update on stops referencing new table as changed_stops
    for each statement execute function note_stops();
create trigger stops_deleted after delete on stops referencing old table as changed_stops
    for each statement execute function note_stops();
