-- Carriers that ask money for what arrives: which submissions cost something only when a receipt says delivered.
-- Additive: the former release writes false, and books such a submission when the carrier takes it.

alter table submissions add column billed_on_delivery boolean not null default false;
comment on column submissions.billed_on_delivery is 'Its price is booked when a receipt says delivered, not when the carrier takes it';
comment on column messages.cost_micro is 'What the parts of all attempts cost, millionths of currency: those that a carrier took, or, where it bills delivery, those that arrived; attempts in another currency than the last one stand only with their submissions';
