#!lua flags=allow-oom
-- Put a newer version of a mirrored document. ARGV: name, version, value. Reply: 1, or 0 when it is not newer
local key = P .. 'mirror:' .. ARGV[1]
if tonumber(call('HGET', key, 'version') or '-1') >= tonumber(ARGV[2]) then return 0 end
call('HSET', key, 'version', ARGV[2], 'value', ARGV[3])
call('SPUBLISH', P .. 'wake:mirror', ARGV[1])
return 1
