#!lua flags=allow-oom
-- Forget facts that PostgreSQL has. ARGV: token of the recorder, last id that it has, id after it.
-- Reply: 1, or 0 when the token is old
if call('HGET', P .. 'lease:recorder', 'token') ~= ARGV[1] then return 0 end
call('XTRIM', P .. 'events', 'MINID', ARGV[3])
call('SET', P .. 'recorded', ARGV[2])
return 1
