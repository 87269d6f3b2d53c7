#!lua
-- Reserve an Idempotency-Key. ARGV: run, key, body hash, ttl ms, ms after which an unfinished one may be taken up again
-- Reply: {'fresh'|'running'|'mismatch'|'done', ms of the first request, response} | 'closed'
if not is_open(ARGV[1]) then return 'closed' end
local key, now = P .. 'k:' .. ARGV[2], now_ms()
local held = call('HMGET', key, 'body', 'first', 'busy', 'response')
if not held[1] then
  call('HSET', key, 'body', ARGV[3], 'first', string.format('%d', now), 'busy', string.format('%d', now + ARGV[5]))
  call('PEXPIRE', key, ARGV[4])
  return { 'fresh', now, '' }
end
if held[1] ~= ARGV[3] then return { 'mismatch', tonumber(held[2]), '' } end
if held[4] then return { 'done', tonumber(held[2]), held[4] } end
if tonumber(held[3]) > now then return { 'running', tonumber(held[2]), '' } end
call('HSET', key, 'busy', string.format('%d', now + ARGV[5]))
return { 'fresh', tonumber(held[2]), '' }
