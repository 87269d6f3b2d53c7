-- Versions of what was imported into the stop lists. Additive: the former release goes on importing without them.
-- Single entries (an operator's, a client's, a subscriber's STOP) have no versions: they stand beside.

create table stop_versions (
    version             bigint generated always as identity primary key,
    client              text collate "C" not null default '',
    how                 text collate "C" not null check (how in ('import', 'replace', 'rollback')),
    back_to             bigint,
    class_mask          smallint not null default 0,
    note                text not null default '',
    source              text not null default '',
    numbers             bigint not null default 0,
    added               bigint not null default 0,
    changed             bigint not null default 0,
    removed             bigint not null default 0,
    created_at          timestamptz not null default now(),
    created_by          text not null
);
create index stop_versions_client on stop_versions (client, version);
comment on table stop_versions is 'Every change of what is imported into a list; the newest of a client is in use';
comment on column stop_versions.client is 'Whose messages are stopped; empty: everybody''s';
comment on column stop_versions.back_to is 'Of a rollback: the version whose numbers it has; 0: what was there before the first';
comment on column stop_versions.numbers is 'Imported numbers on the list when it was made';

alter table stops add column since_version bigint not null default 0;
comment on column stops.since_version is 'The version that put it there as it is; 0: it was not imported, or before there were versions';

-- What an import, or a rollback, took off or wrote over. A number that somebody takes off by itself goes from here too.
create table stop_past (
    client              text collate "C" not null,
    recipient_hash      bigint not null,
    class_mask          smallint not null,
    at                  timestamptz not null,
    recipient           text not null,
    who                 text not null,
    reason              text not null,
    since               bigint not null,
    until               bigint not null,
    primary key (client, recipient_hash, until)
);
comment on table stop_past is 'Imported entries as they were from one version on until before another';
