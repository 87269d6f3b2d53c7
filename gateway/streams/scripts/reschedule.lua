#!lua
-- Give scheduled messages another time. ARGV: run, due ms, then per message: id, facts. Reply: per message 'rescheduled' | 'gone'
if not is_open(ARGV[1]) then return 'closed' end
check_later()
check_stream('events')
local reply = {}
for i = 3, #ARGV, 2 do
  local body = call('HGET', P .. 'later:body', ARGV[i])
  if body and string.sub(body, 1, 1) == 's' then
    call('ZADD', P .. 'later', ARGV[2], ARGV[i])
    add_facts(ARGV[1], ARGV[i + 1])
    reply[#reply + 1] = 'rescheduled'
  else
    reply[#reply + 1] = 'gone'
  end
end
return reply
