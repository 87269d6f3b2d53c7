#!lua flags=allow-oom
-- Take messages off their queues for good. ARGV: run, then per message: stream ('' : later), entry id, message id, facts
-- Reply: per message 'cancelled' | 'marked': on the wire | 'gone': not there any more
if not is_open(ARGV[1]) then return 'closed' end
check_later()
check_stream('events')
check_epoch()
local reply, marks, taken = {}, {}, {}

local function is_marked(stream, entry)
  local carrier = string.match(stream, '^outbox:([^:]+):') or string.match(stream, '^again:([^:]+):')
  if not carrier then return false end
  marks[carrier] = marks[carrier] or call('HKEYS', P .. 'marks:' .. carrier)
  for _, mark in ipairs(marks[carrier]) do
    local name, first, last = string.match(mark, '^([^|]+)|([^|]+)|([^|]+)$')
    if name == stream and not is_after(first, entry) and not is_after(entry, last) then return true end
  end
  return false
end

local function look(stream, entry, id)
  if stream == '' then return call('ZSCORE', P .. 'later', id) and 'cancelled' or 'gone' end
  local found = call('XRANGE', P .. stream, entry, entry)
  if not found[1] or string.sub(found[1][2][2], 1, 16) ~= id then return 'gone' end
  return is_marked(stream, entry) and 'marked' or 'cancelled'
end

for i = 2, #ARGV, 4 do
  local verdict = look(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if verdict == 'cancelled' and not taken[ARGV[i + 2]] then taken[ARGV[i + 2]] = i end
  reply[#reply + 1] = verdict
end
for id, i in pairs(taken) do
  if ARGV[i] == '' then
    call('ZREM', P .. 'later', id)
    call('HDEL', P .. 'later:body', id)
  else
    call('XDEL', P .. ARGV[i], ARGV[i + 1])
    call('INCR', P .. 'epoch')
  end
  add_facts(ARGV[1], ARGV[i + 3])
end
return reply
