#!lua flags=allow-oom
-- Let only the connector with this token move a carrier's entries. ARGV: carrier, token. Reply: 1, or 0 when a newer one is in.
local key, token = P .. 'fence:' .. ARGV[1], tonumber(ARGV[2])
if tonumber(call('GET', key) or '0') > token then return 0 end
call('SET', key, ARGV[2])
return 1
