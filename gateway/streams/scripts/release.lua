#!lua flags=allow-oom
-- Put what is due back into intake. ARGV: run, token, at most. Reply: {moved, ms until the next or -1} | 'closed' | 'fenced'
if not is_open(ARGV[1]) then return 'closed' end
if call('HGET', P .. 'lease:router', 'token') ~= ARGV[2] then return 'fenced' end
local key, now = P .. 'later', now_ms()
local ids = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, ARGV[3])
if #ids > 0 then
  local bodies, found, lanes = call('HMGET', P .. 'later:body', unpack(ids)), {}, {}
  check_stream('events')
  check_set('lanes')
  check_hash('depths')
  for n = 1, #ids do
    local lane, message, journey = unpark(bodies[n] or '')
    if lane then
      if not lanes[lane] then check_stream('intake:' .. lane) end
      lanes[lane] = (lanes[lane] or 0) + 1
      found[n] = { lane, message, journey }
    end
  end
  for n = 1, #ids do
    if found[n] then
      add_entry(P .. 'intake:' .. found[n][1], found[n][2], found[n][3])
    else  -- the packed fact Ended(id, "failed", "damaged")
      add_facts(ARGV[1], '\1\145\148\161e\196\16' .. ids[n] .. '\166failed\167damaged')
    end
  end
  call('ZREM', key, unpack(ids))
  call('HDEL', P .. 'later:body', unpack(ids))
  wake_intake(lanes)
end
local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
return { #ids, head[2] and math.max(tonumber(head[2]) - now, 0) or -1 }
