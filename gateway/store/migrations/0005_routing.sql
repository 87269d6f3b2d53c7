-- What routing learns from and leaves behind.

-- How deliveries went, by the time of sending: fed in the ledger's own transactions, read by whoever estimates how
-- likely a carrier delivers in time. Rows are dropped after a day.
create table deliveries (
    at                  timestamptz not null,
    sent                bigint not null,
    within_10s          bigint not null,
    within_30s          bigint not null,
    within_60s          bigint not null,
    within_300s         bigint not null,
    within_900s         bigint not null,
    within_3600s        bigint not null,
    within_14400s       bigint not null,
    later               bigint not null,
    failed              bigint not null,
    shard               smallint not null,
    class               text collate "C" not null,
    carrier             text collate "C" not null,
    operator            text collate "C" not null,
    primary key (at, shard, class, carrier, operator)
) with (fillfactor = 60);
comment on column deliveries.within_30s is 'Delivered after more than 10 and at most 30 seconds; the others likewise';
comment on column deliveries.failed is 'Not delivered, as the carrier says; what no receipt ever came for is in no column but sent';

-- What a route replaced the sender by, and why this carrier was chosen (plan/record.py); empty where nothing is to tell.
alter table submissions
    add column sender text not null default '',
    add column record text not null default '';
