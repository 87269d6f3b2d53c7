#!lua flags=allow-oom
-- Make due what was parked because its tag was paused. ARGV: run, token, tag, at most
-- Reply: how many, or 'closed' | 'fenced'
if not is_open(ARGV[1]) then return 'closed' end
if call('HGET', P .. 'lease:router', 'token') ~= ARGV[2] then return 'fenced' end
local key, now = P .. 'paused:' .. ARGV[3], now_ms()
check_set('paused')
check_set('paused:' .. ARGV[3])
check_later()
local ids = call('SPOP', key, ARGV[4])
for _, id in ipairs(ids) do call('ZADD', P .. 'later', 'XX', now, id) end
if call('SCARD', key) == 0 then call('SREM', P .. 'paused', ARGV[3]) end
return #ids
