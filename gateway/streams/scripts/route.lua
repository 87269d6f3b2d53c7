#!lua flags=allow-oom
-- Move the first entries of an intake stream on.
-- ARGV: run, token, epoch, lane, first id, id after the last, facts,
--       then per entry: 'o' <carrier>:<lane> message journey | 'l' <due ms> message journey
-- Reply: 'ok', or 'closed' | 'fenced' | 'moved': nothing was changed; 'moved': read from the start again
if not is_open(ARGV[1]) then return 'closed' end
if call('HGET', P .. 'lease:router', 'token') ~= ARGV[2] then return 'fenced' end
if (call('GET', P .. 'epoch') or '0') ~= ARGV[3] then return 'moved' end
local lane = ARGV[4]
local source = P .. 'intake:' .. lane
local head = call('XRANGE', source, '-', '+', 'COUNT', 1)
if not head[1] or head[1][1] ~= ARGV[5] then return 'moved' end
local to = {}
if ARGV[7] ~= '' then check_stream('events') end
check_set('carriers')
for i = 8, #ARGV, 4 do
  if ARGV[i] ~= 'o' then
    check_later()
  elseif not to[ARGV[i + 1]] then
    to[ARGV[i + 1]] = true
    check_stream('outbox:' .. ARGV[i + 1])
    check_set('lanes:' .. string.match(ARGV[i + 1], '^[^:]+'))
  end
end
for i = 8, #ARGV, 4 do
  if ARGV[i] == 'o' then
    add_entry(P .. 'outbox:' .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3])
  else
    local m = ARGV[i + 2]
    park('r', ARGV[i + 1], string.sub(m, 1, 16), lane, m, ARGV[i + 3])
  end
end
call('XTRIM', source, 'MINID', ARGV[6])
add_facts(ARGV[1], ARGV[7])
for dest in pairs(to) do
  local carrier, name = string.match(dest, '^([^:]+):(.+)$')
  call('SADD', P .. 'carriers', carrier)
  call('SADD', P .. 'lanes:' .. carrier, name)
  call('SPUBLISH', P .. 'wake:outbox:' .. carrier, name)
end
return 'ok'
