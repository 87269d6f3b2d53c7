#!lua flags=allow-oom
-- Lease slices of allowances, or give back what was not used. Never more than an allowance is out in its period.
-- ARGV: per slice: key with its period, allowance, ms when its count is forgotten, amount (below zero: given back)
-- Reply: per slice: what was granted (or taken back, below zero), what is out now
local reply = {}
for i = 1, #ARGV, 4 do assert(tonumber(call('GET', P .. ARGV[i]) or '0'), 'an allowance is no number') end
for i = 1, #ARGV, 4 do
  local key, amount = P .. ARGV[i], tonumber(ARGV[i + 3])
  local out = tonumber(call('GET', key) or '0')
  local granted = amount > 0 and math.max(math.min(amount, tonumber(ARGV[i + 1]) - out), 0) or math.max(amount, -out)
  if granted ~= 0 then
    call('INCRBY', key, string.format('%d', granted))
    call('PEXPIREAT', key, ARGV[i + 2])
  end
  reply[#reply + 1] = granted
  reply[#reply + 1] = out + granted
end
return reply
