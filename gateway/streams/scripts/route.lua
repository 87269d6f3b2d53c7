#!lua flags=allow-oom
-- Move the first entries of an intake stream on.
-- ARGV: run, token, epoch, lane, first id, id after the last, facts, change of the lane's depth, struck-out ones (16 each),
--       targets, per target: 'o' <carrier>:<lane> journey | 'l' <due ms> journey,
--       per message 2 bytes: number of its target, low byte first, from 1; then the messages
-- Reply: 'ok', or 'closed' | 'fenced' | 'moved': nothing was changed; 'moved': read from the start again
if not is_open(ARGV[1]) then return 'closed' end
if call('HGET', P .. 'lease:router', 'token') ~= ARGV[2] then return 'fenced' end
if (call('GET', P .. 'epoch') or '0') ~= ARGV[3] then return 'moved' end
local lane = ARGV[4]
local source = P .. 'intake:' .. lane
local head = call('XRANGE', source, '-', '+', 'COUNT', 1)
if not head[1] or head[1][1] ~= ARGV[5] then return 'moved' end
if ARGV[7] ~= '' then check_stream('events') end
check_set('carriers')
check_set('struck:' .. lane)
check_hash('depths')
local targets, keys, journeys, to = tonumber(ARGV[10]), {}, {}, {}
for t = 1, targets do
  local op, where = ARGV[8 + t * 3], ARGV[9 + t * 3]
  journeys[t] = ARGV[10 + t * 3]
  if op ~= 'o' then
    check_later()
  else
    keys[t] = P .. 'outbox:' .. where
    if not to[where] then
      to[where] = true
      check_stream('outbox:' .. where)
      check_set('lanes:' .. string.match(where, '^[^:]+'))
    end
  end
end
local at = 11 + targets * 3
local numbers = ARGV[at]
for i = at + 1, #ARGV do
  local low, high = string.byte(numbers, (i - at) * 2 - 1, (i - at) * 2)
  local t, message = low + high * 256, ARGV[i]
  if keys[t] then
    add_entry(keys[t], message, journeys[t])
  else
    park('r', ARGV[9 + t * 3], string.sub(message, 1, 16), lane, message, journeys[t])
  end
end
call('XTRIM', source, 'MINID', ARGV[6])
if ARGV[9] ~= '' then
  for i = 1, #ARGV[9], 16 do call('SREM', P .. 'struck:' .. lane, string.sub(ARGV[9], i, i + 15)) end
end
if call('XLEN', source) == 0 then
  call('HDEL', P .. 'depths', lane)
else
  call('HINCRBY', P .. 'depths', lane, ARGV[8])
end
add_facts(ARGV[1], ARGV[7])
for dest in pairs(to) do
  local carrier, name = string.match(dest, '^([^:]+):(.+)$')
  call('SADD', P .. 'carriers', carrier)
  call('SADD', P .. 'lanes:' .. carrier, name)
  call('SPUBLISH', P .. 'wake:outbox:' .. carrier, name)
end
return 'ok'
