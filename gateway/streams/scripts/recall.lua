#!lua flags=allow-oom
-- Take unmarked entries of a carrier that cannot send back to intake, or end them.
-- ARGV: run, token, carrier, lane, stream, facts, then per entry: id, message ('' : it is ended by the facts), journey
-- Reply: number moved, or 'closed' | 'fenced' | 'marked': nothing was changed
if not is_open(ARGV[1]) then return 'closed' end
if call('HGET', P .. 'lease:router', 'token') ~= ARGV[2] then return 'fenced' end
local stream = ARGV[5]
for _, mark in ipairs(call('HKEYS', P .. 'marks:' .. ARGV[3])) do
  local name, _, last = string.match(mark, '^([^|]+)|([^|]+)|([^|]+)$')
  -- marks of one stream lie before what is unmarked, so the first entry decides
  if name == stream and not is_after(ARGV[7], last) then return 'marked' end
end
local ids = {}
for i = 7, #ARGV, 3 do ids[#ids + 1] = ARGV[i] end
local there = call('XRANGE', P .. stream, ids[1], ids[#ids])
if #there ~= #ids then return 'marked' end
check_stream('intake:' .. ARGV[4])
check_stream('events')
check_set('lanes')
check_hash('depths')
check_epoch()
local back = 0
for i = 7, #ARGV, 3 do
  if ARGV[i + 1] ~= '' then
    add_entry(P .. 'intake:' .. ARGV[4], ARGV[i + 1], ARGV[i + 2])
    back = back + 1
  end
end
call('XDEL', P .. stream, unpack(ids))
call('INCR', P .. 'epoch')
add_facts(ARGV[1], ARGV[6])
wake_intake({ [ARGV[4]] = back })
return #ids
