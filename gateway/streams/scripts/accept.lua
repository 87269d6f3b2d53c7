#!lua
-- Take messages in, once per commit and once per ref.
-- ARGV: run, commit key, commit field, commit id (16), commit ttl ms (0: none), ref ttl ms,
--       then per message: tail (10), lane, due ms (0: now), ref key (16 or ''), body hash (8), value
-- Reply: 'closed', or 8 bytes of time and per message: \0 accepted | \1 id: duplicate | \2 id: conflict
local run = ARGV[1]
if not is_open(run) then return 'closed' end
local commit_key, field, commit = P .. ARGV[2], ARGV[3], ARGV[4]
local done = call('HGET', commit_key, field)
if done and string.sub(done, 1, 16) == commit then return string.sub(done, 17) end

local ms = now_ms()
local stamp = struct.pack('>I2I4', math.floor(ms / 4294967296), ms % 4294967296)
check_stream('events')
check_set('lanes')
local refs, at, checked = {}, {}, {}
local day_ms = 86400000
local today, ref_ttl = math.floor(ms / day_ms), tonumber(ARGV[6])
for i = 7, #ARGV, 6 do
  if not checked[ARGV[i + 1]] then
    check_stream('intake:' .. ARGV[i + 1])
    checked[ARGV[i + 1]] = true
  end
  if ARGV[i + 2] ~= '0' and not checked[''] then
    check_later()
    checked[''] = true
  end
  if ARGV[i + 3] ~= '' then
    refs[#refs + 1] = ARGV[i + 3]
    at[#refs] = i
  end
end
local known = {}
if #refs > 0 then
  for day = math.floor((ms - ref_ttl) / day_ms), today do
    local values = call('HMGET', P .. 'f:' .. day, unpack(refs))
    for n = 1, #refs do
      if values[n] then
        local high, low = struct.unpack('>I2I4', values[n])
        if high * 4294967296 + low > ms - ref_ttl then known[at[n]] = values[n] end
      end
    end
  end
end

local verdicts = { struct.pack('>I2I4I2', math.floor(ms / 4294967296), ms % 4294967296, 0) }
local facts = { 'XADD', P .. 'events', '*', 'r', run, 'A', '' }
local fresh, lanes, remember = {}, {}, {}
for i = 7, #ARGV, 6 do
  local ref, id = ARGV[i + 3], stamp .. ARGV[i]
  local old = known[i] or (ref ~= '' and fresh[ref])
  if old then
    local same = string.sub(old, 17) == ARGV[i + 4]
    verdicts[#verdicts + 1] = (same and '\1' or '\2') .. string.sub(old, 1, 16)
  else
    verdicts[#verdicts + 1] = '\0'
    if ref ~= '' then
      fresh[ref] = id .. ARGV[i + 4]
      remember[#remember + 1] = ref
      remember[#remember + 1] = fresh[ref]
    end
    facts[#facts + 1] = id
    facts[#facts + 1] = ARGV[i + 5]
    local due = tonumber(ARGV[i + 2])
    if due > ms then
      park('s', due, id, ARGV[i + 1], id .. ARGV[i + 5], '')
    else
      call('XADD', P .. 'intake:' .. ARGV[i + 1], '*', 'm', id .. ARGV[i + 5])
      lanes[ARGV[i + 1]] = true
    end
  end
end
local reply = table.concat(verdicts)
if #facts > 7 then
  call(unpack(facts))
  if #remember > 0 then
    local book = P .. 'f:' .. today
    if call('EXISTS', book) == 0 then
      -- A new day: what is older than a ref is remembered goes, in the background.
      local oldest = math.floor((ms - ref_ttl) / day_ms)
      call('UNLINK', P .. 'f:' .. (oldest - 1), P .. 'f:' .. (oldest - 2))
      call('HSET', book, unpack(remember))
      call('PEXPIRE', book, ref_ttl + 2 * day_ms)
    else
      call('HSET', book, unpack(remember))
    end
  end
end
call('HSET', commit_key, field, commit .. reply)
if ARGV[5] ~= '0' then call('PEXPIRE', commit_key, ARGV[5]) end
for lane in pairs(lanes) do
  call('SADD', P .. 'lanes', lane)
  call('SPUBLISH', P .. 'wake:intake', lane)
end
return reply
