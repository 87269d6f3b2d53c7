-- Failed messages that were sent again, once, and what nobody can place yet. Additive: the former release does not know it.

create table retries (
    first_id            uuid primary key,
    id                  uuid unique,
    at                  timestamptz not null default now(),
    by                  text not null,
    reason              text not null
);
comment on table retries is 'Failed messages that were sent again as another message, each once';
comment on column retries.id is 'The other message; null: it is just being accepted';
comment on column retries.reason is 'Why the first one had failed';

create view bi.orphans as
select at, carrier, carrier_message_id, state, nullif(reason, '') as reason, nullif(code, '') as code,
       nullif(bind, '') as bind, done_at
from receipts
where message_id is null;
comment on view bi.orphans is 'Receipts that no submission was found for in three days, as they came';

create view bi.uncertain as
select message_id, sent_at, attempt, part, carrier, operator, nullif(reason, '') as reason, nullif(route, '') as route,
       plan_version, price_micro / 1000000.0 as price, nullif(currency, '') as currency
from submissions
where kind = 3;
comment on view bi.uncertain is 'Submissions of which nobody knows whether the carrier took them; a late answer or a receipt settles one';
