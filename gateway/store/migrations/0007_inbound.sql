-- Subscribers' messages: what became of each row, whose client was told. Receipts that speak for a whole message.

alter table receipts_waiting add column whole boolean not null default false;
comment on column receipts_waiting.whole is 'Speaks for all parts of its message';

-- Rows that are there already are settled: nobody is told of them now.
alter table inbound
    add column settled_at  timestamptz default 'epoch',
    add column look_at     timestamptz not null default 'epoch',
    add column role        text collate "C" not null default '',
    add column head_id     uuid,
    add column whole_text  text,
    add column missing     smallint not null default 0,
    add column client      text collate "C" not null default '',
    add column reply_to    uuid,
    add column test        boolean not null default false;
alter table inbound alter column settled_at drop default;
create index inbound_unsettled on inbound (look_at) where settled_at is null;
create index inbound_client on inbound (client, at, id) where role = 'message';
comment on column inbound.settled_at is 'When it became part of a message; null: it waits for the matcher, at look_at';
comment on column inbound.role is 'message: the first row of one; part: belongs to head_id; repeat: came before; damaged';
comment on column inbound.whole_text is 'Of a message in several parts: the text of all that came; missing: how many did not';
comment on column inbound.client is 'Whose it is: by the plan''s rules, else by the message that it replies to';
comment on column inbound.reply_to is 'The last message that we sent to this subscriber';
