-- Datasets: the long things beside the plan (numbering plans, ported numbers, rate sheets, senders), each a CSV file with
-- versions. Additive: the former release does not know them.

create table datasets (
    version             bigint generated always as identity primary key,
    kind                text not null check (kind ~ '^[a-z][a-z0-9_]{0,31}$'),
    rows                bigint not null default 0,
    size_bytes          bigint not null default 0,
    sha256              bytea not null default '',
    note                text not null default '',
    source              text not null default '',
    created_at          timestamptz not null default now(),
    created_by          text not null,
    activated_at        timestamptz,
    activated_by        text
);
create index datasets_kind on datasets (kind, version desc);
comment on column datasets.version is 'One row of numbers for all kinds: a version names its kind';
comment on column datasets.source is 'Names of the files that it was made of';
comment on column datasets.sha256 is 'Of the whole content, not compressed';

-- The content in pieces of a MiB, each compressed by us (zlib), so that nobody holds the whole in memory.
create table dataset_chunks (
    version             bigint not null references datasets on delete cascade,
    number              integer not null,
    data                bytea not null,
    primary key (version, number)
);
alter table dataset_chunks alter column data set storage external;

create table dataset_active (
    kind                text primary key,
    version             bigint not null references datasets
);

-- When anything of the above changed last: what is mirrored in Redis only goes forward by it.
create table dataset_changes (
    "only"              boolean primary key default true check ("only"),
    at                  timestamptz not null
);
insert into dataset_changes (at) values (now());
