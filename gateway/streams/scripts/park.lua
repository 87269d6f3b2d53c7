#!lua flags=allow-oom
-- Take unmarked entries of a carrier's stream to later: what they count in has no room for them now.
-- ARGV: run, carrier, token, epoch, stream, lane, facts, then per entry, in order: id, due ms, journey
-- Reply: 'ok', or 'closed' | 'fenced' | 'moved': nothing was changed; 'moved': read from the cursor's start again
if not is_open(ARGV[1]) then return 'closed' end
if call('GET', P .. 'fence:' .. ARGV[2]) ~= ARGV[3] then return 'fenced' end
if (call('GET', P .. 'epoch') or '0') ~= ARGV[4] then return 'moved' end
local stream, messages, ids = P .. ARGV[5], {}, {}
for _, entry in ipairs(call('XRANGE', stream, ARGV[8], ARGV[#ARGV - 2])) do messages[entry[1]] = entry[2][2] end
for i = 8, #ARGV, 3 do
  if not messages[ARGV[i]] then return 'moved' end
  ids[#ids + 1] = ARGV[i]
end
check_later()
check_stream('events')
for i = 8, #ARGV, 3 do
  local message = messages[ARGV[i]]
  park('r', ARGV[i + 1], string.sub(message, 1, 16), ARGV[6], message, ARGV[i + 2])
end
call('XDEL', stream, unpack(ids))
add_facts(ARGV[1], ARGV[7])
return 'ok'
