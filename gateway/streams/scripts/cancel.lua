#!lua flags=allow-oom
-- Take messages off their queues for good. ARGV: run, then per message: stream ('' : later), entry id, message id, facts
-- Reply: per message 'cancelled' | 'marked': on the wire | 'gone': not there any more
if not is_open(ARGV[1]) then return 'closed' end
local reply, marks = {}, {}
for i = 2, #ARGV, 4 do
  local stream, entry, id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local verdict = 'gone'
  if stream == '' then
    if call('ZREM', P .. 'later', id) == 1 then
      call('HDEL', P .. 'later:body', id)
      verdict = 'cancelled'
    end
  else
    local found = call('XRANGE', P .. stream, entry, entry)
    if found[1] and string.sub(found[1][2][2], 1, 16) == id then
      verdict = 'cancelled'
      local carrier = string.match(stream, '^outbox:([^:]+):') or string.match(stream, '^again:([^:]+):')
      if carrier then
        marks[carrier] = marks[carrier] or call('HKEYS', P .. 'marks:' .. carrier)
        for _, mark in ipairs(marks[carrier]) do
          local name, first, last = string.match(mark, '^([^|]+)|([^|]+)|([^|]+)$')
          if name == stream and not is_after(first, entry) and not is_after(entry, last) then verdict = 'marked' end
        end
      end
      if verdict == 'cancelled' then
        call('XDEL', P .. stream, entry)
        call('INCR', P .. 'epoch')
      end
    end
  end
  if verdict == 'cancelled' then add_facts(ARGV[1], ARGV[i + 3]) end
  reply[#reply + 1] = verdict
end
return reply
