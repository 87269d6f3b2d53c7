#!lua flags=allow-oom
-- Take, renew or give up a lease. ARGV: key, owner, token (0: take it), ttl ms (0: give it up)
-- An owner whose reply was lost, or who could not give it up, takes his own again at once, under a new token.
-- Reply: {token, ms}: ours for ms; {0, ms}: another's for ms at least
local key, owner, token, ttl = P .. ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local held = call('HMGET', key, 'owner', 'token', 'until')
local held_token, till = tonumber(held[2] or '0'), tonumber(held[3] or '0')
if token > 0 then
  if held_token ~= token then return { 0, math.max(till - now, 0) } end
elseif till > now and held[1] ~= owner then
  return { 0, till - now }
else
  token = math.max(held_token + 1, now)
end
call('HSET', key, 'owner', owner, 'token', string.format('%d', token), 'until', string.format('%d', ttl > 0 and now + ttl or 0))
return { token, ttl }
