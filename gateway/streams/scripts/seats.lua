#!lua flags=allow-oom
-- Lease seats: how many messages of one owner may be on their way to a number at a time. All together never more than its
-- limit; what an owner does not renew is free when its time is over.
-- ARGV: owner, ms that a lease lasts; per number: key, limit, how many the owner wants to hold in all
-- Reply: per number: how many it holds now
local owner, ttl, now, reply = ARGV[1], tonumber(ARGV[2]), now_ms(), {}
for i = 3, #ARGV, 3 do check_hash(ARGV[i]) end
for i = 3, #ARGV, 3 do
  local key, others = P .. ARGV[i], 0
  local there = call('HGETALL', key)
  for n = 1, #there, 2 do
    local count, till = string.match(there[n + 1], '^(%d+)|(%d+)$')
    if not count or tonumber(till) <= now then
      call('HDEL', key, there[n])
    elseif there[n] ~= owner then
      others = others + tonumber(count)
    end
  end
  local mine = math.max(math.min(tonumber(ARGV[i + 2]), tonumber(ARGV[i + 1]) - others), 0)
  if mine > 0 then
    call('HSET', key, owner, string.format('%d|%d', mine, now + ttl))
    call('PEXPIRE', key, ttl)
  else
    call('HDEL', key, owner)
  end
  reply[#reply + 1] = mine
end
return reply
