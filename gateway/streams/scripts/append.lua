#!lua flags=allow-oom
-- Add facts for the recorder, once per writer and number. ARGV: run, writer ('' : any number of times), number, facts
local counter = P .. 'n:' .. ARGV[2]
if ARGV[2] ~= '' then
  if tonumber(ARGV[3]) <= tonumber(call('GET', counter) or '0') then return '' end
end
local id = call('XADD', P .. 'events', '*', 'r', ARGV[1], 'F', ARGV[4])
if ARGV[2] ~= '' then call('SET', counter, ARGV[3], 'EX', 86400) end
return id
