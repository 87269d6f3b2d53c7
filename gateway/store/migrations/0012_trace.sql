-- Traces: every attempt to tell an application, and who may see numbers and texts. Additive: what the former release
-- writes has no list of attempts, and its keys see what they saw.

alter table callbacks add column failures text not null default '';
comment on column callbacks.failures is 'Attempts that did not succeed, a line each: [ms since the epoch, HTTP status or 0, error]';

-- Without the scope `privacy` numbers and texts are masked from now on. Keys that could read them still can.
update keys set scopes = array_append(scopes, 'privacy')
where 'read' = any(scopes) and not 'privacy' = any(scopes) and not 'admin' = any(scopes);
