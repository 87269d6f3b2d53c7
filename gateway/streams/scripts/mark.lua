#!lua
-- Note ranges of consecutive entries as on the wire, before a byte goes out.
-- ARGV: run, carrier, token, epoch, then per range: stream (outbox:… or again:…), first id, last id
-- Reply: 'ok', or 'closed' | 'fenced' | 'moved': nothing was changed; 'moved': read from the cursor's start again
if not is_open(ARGV[1]) then return 'closed' end
if call('GET', P .. 'fence:' .. ARGV[2]) ~= ARGV[3] then return 'fenced' end
if (call('GET', P .. 'epoch') or '0') ~= ARGV[4] then return 'moved' end
local now, args = string.format('%d', now_ms()), {}
for i = 5, #ARGV, 3 do
  args[#args + 1] = ARGV[i] .. '|' .. ARGV[i + 1] .. '|' .. ARGV[i + 2]
  args[#args + 1] = now
end
call('HSET', P .. 'marks:' .. ARGV[2], unpack(args))
return 'ok'
