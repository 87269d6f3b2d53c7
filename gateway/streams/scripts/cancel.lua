#!lua flags=allow-oom
-- Take messages off their queues for good; one in a pack of intake is struck out, and the router passes it over.
-- ARGV: run, then per message: stream ('' : later), entry id, message id, facts
-- Reply: per message 'cancelled' | 'marked': on the wire | 'gone': not there any more
if not is_open(ARGV[1]) then return 'closed' end
check_later()
check_stream('events')
check_hash('depths')
check_epoch()
local reply, marks, taken, packs = {}, {}, {}, {}

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

-- The ids of a pack, by id; nothing when there is no pack at that place.
local function ids_in(place, stream, entry)
  if packs[place] == nil then
    packs[place] = false
    local found = call('XRANGE', P .. stream, entry, entry)
    if found[1] and found[1][2][1] == 'p' then packs[place] = ids_of(found[1][2][2]) end
  end
  return packs[place]
end

local function look(stream, entry, id)
  if stream == '' then return call('ZSCORE', P .. 'later', id) and 'cancelled' or 'gone' end
  local lane = string.match(stream, '^intake:(.+)$')
  local ids = lane and ids_in(stream .. '|' .. entry, stream, entry)
  if ids then return ids[id] and call('SISMEMBER', P .. 'struck:' .. lane, id) == 0 and 'cancelled' or 'gone', lane end
  local found = call('XRANGE', P .. stream, entry, entry)
  if not found[1] or string.sub(found[1][2][2], 1, 16) ~= id then return 'gone' end
  return is_marked(stream, entry) and 'marked' or 'cancelled'
end

for i = 2, #ARGV, 4 do
  local verdict, struck = look(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if verdict == 'cancelled' and not taken[ARGV[i + 2]] then taken[ARGV[i + 2]] = { i, struck } end
  reply[#reply + 1] = verdict
end
for id, place in pairs(taken) do
  local i, struck = place[1], place[2]
  if ARGV[i] == '' then
    call('ZREM', P .. 'later', id)
    call('HDEL', P .. 'later:body', id)
  else
    local lane = string.match(ARGV[i], '^intake:(.+)$')
    if struck then
      call('SADD', P .. 'struck:' .. lane, id)
    else
      call('XDEL', P .. ARGV[i], ARGV[i + 1])
    end
    if lane then call('HINCRBY', P .. 'depths', lane, -1) end
    call('INCR', P .. 'epoch')
  end
  add_facts(ARGV[1], ARGV[i + 3])
end
return reply
