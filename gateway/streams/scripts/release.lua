#!lua flags=allow-oom
-- Put what is due back into intake. ARGV: run, token, at most. Reply: {moved, ms until the next or -1} | 'closed' | 'fenced'
if not is_open(ARGV[1]) then return 'closed' end
if call('HGET', P .. 'lease:router', 'token') ~= ARGV[2] then return 'fenced' end
local key, now = P .. 'later', now_ms()
local ids = call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, ARGV[3])
if #ids > 0 then
  local bodies, lanes = call('HMGET', P .. 'later:body', unpack(ids)), {}
  for n = 1, #ids do
    if bodies[n] then
      local lane, message, journey = unpark(bodies[n])
      add_entry(P .. 'intake:' .. lane, message, journey)
      lanes[lane] = true
    end
  end
  call('ZREM', key, unpack(ids))
  call('HDEL', P .. 'later:body', unpack(ids))
  for lane in pairs(lanes) do
    call('SADD', P .. 'lanes', lane)
    call('SPUBLISH', P .. 'wake:intake', lane)
  end
end
local head = call('ZRANGE', key, 0, 0, 'WITHSCORES')
return { #ids, head[2] and math.max(tonumber(head[2]) - now, 0) or -1 }
