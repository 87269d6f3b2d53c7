#!lua flags=allow-oom
-- Write outcomes down and take their entries off the streams. Allowed to the end of memory: it frees more than it takes.
-- ARGV: run, carrier, token, writer, number of this settle, facts, then operations:
--   'd' <stream> <n> <id>…        delete entries         'u' <mark>                    delete a mark
--   't' <stream> <first> <last>   delete all from first to last
--   'a' <lane> message journey    came back unsent       'i' <lane> message journey    to be routed again
--   'l' <due ms>|<lane> message journey    to be routed later
-- Reply: 'ok' | 'again': this settle was done before | 'late': the token is old, so only the facts were kept
local run, carrier = ARGV[1], ARGV[2]
local counter = P .. 'n:' .. ARGV[4]
if tonumber(ARGV[5]) <= tonumber(call('GET', counter) or '0') then return 'again' end
local ours = call('GET', P .. 'fence:' .. carrier) == ARGV[3]
if ARGV[6] ~= '' then check_stream('events') end

-- Calls `act` for every operation, with its arguments' place.
local function each(act)
  local i = 7
  while i <= #ARGV do
    local op = ARGV[i]
    act(op, i)
    i = i + (op == 'd' and 3 + tonumber(ARGV[i + 2]) or op == 'u' and 2 or 4)
  end
end

if ours then
  local checked = {}
  each(function(op, i)
    local where = ARGV[i + 1]
    if checked[op .. where] then return end
    checked[op .. where] = true
    if op == 'd' or op == 't' then check_stream(where)
    elseif op == 'u' then call('HLEN', P .. 'marks:' .. carrier)
    elseif op == 'a' then check_stream('again:' .. carrier .. ':' .. where)
    elseif op == 'i' then
      check_stream('intake:' .. where)
      check_set('lanes')
      check_hash('depths')
    else check_later() end
  end)
end

add_facts(run, ARGV[6])
call('SET', counter, ARGV[5], 'EX', 86400)
if not ours then return 'late' end
local woken = {}
each(function(op, i)
  if op == 'd' then
    local n = tonumber(ARGV[i + 2])
    call('XDEL', P .. ARGV[i + 1], unpack(ARGV, i + 3, i + 2 + n))
  elseif op == 't' then
    local stream, first, last = P .. ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local head = call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if head and not is_after(first, head[1]) then
      local ms, n = string.match(last, '^(%d+)-(%d+)$')
      call('XTRIM', stream, 'MINID', ms .. '-' .. string.format('%d', n + 1))
    else
      for _, entry in ipairs(call('XRANGE', stream, first, last)) do call('XDEL', stream, entry[1]) end
    end
  elseif op == 'u' then
    call('HDEL', P .. 'marks:' .. carrier, ARGV[i + 1])
  else
    local where, message, journey = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    if op == 'a' then
      add_entry(P .. 'again:' .. carrier .. ':' .. where, message, journey)
    elseif op == 'i' then
      add_entry(P .. 'intake:' .. where, message, journey)
      woken[where] = (woken[where] or 0) + 1
    else
      local due, lane = string.match(where, '^(%d+)|(.+)$')
      park('r', due, string.sub(message, 1, 16), lane, message, journey)
    end
  end
end)
wake_intake(woken)
return 'ok'
