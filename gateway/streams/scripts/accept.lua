#!lua
-- Take messages in, once per commit and once per ref.
-- ARGV: run, commit key, commit field, commit id (16), commit ttl ms (0: none), ref ttl ms,
--       messages, packs, messages for later, refs,
--       per ref 18 bytes: tail and body hash, per ref 6 bytes: number of the message, number of its pack (0: it is one
--       for later), place in it; numbers are 16 bits, low byte first, from 1,
--       then per pack: lane, messages, array of them (packs.py); per message for later: tail (10), lane, due ms, value;
--       then the refs (16 each)
-- Reply: 'closed', or 8 bytes of time and per message: \0 accepted | \1 id: duplicate | \2 id: conflict
local run = ARGV[1]
if not is_open(run) then return 'closed' end
local commit_key, field, commit = P .. ARGV[2], ARGV[3], ARGV[4]
local done = call('HGET', commit_key, field)
if done and string.sub(done, 1, 16) == commit then return string.sub(done, 17) end

local ms = now_ms()
local stamp = struct.pack('>I2I4', math.floor(ms / 4294967296), ms % 4294967296)
local messages, packs, scheduled = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local PACKS, LATER = 13, 13 + packs * 3
local REFS = LATER + scheduled * 4
check_stream('events')
check_set('lanes')
check_hash('depths')
for i = PACKS, LATER - 1, 3 do check_stream('intake:' .. ARGV[i]) end
for i = LATER, REFS - 1, 4 do
  check_stream('intake:' .. ARGV[i + 1])
  check_later()
end

-- Refs that are known, and those that come twice: few, so only then a message is taken out of its pack.
local refused, out, remember = {}, {}, {}
local day_ms, ref_ttl, refs = 86400000, tonumber(ARGV[6]), tonumber(ARGV[10])
local today, oldest = math.floor(ms / day_ms), math.floor((ms - ref_ttl) / day_ms)
local said, books, begun = {}, {}, false
local function refuse(n, old)
  local number, pack, place = struct.unpack('<I2I2I2', ARGV[12], n * 6 - 5)
  local same = string.sub(old, 17) == string.sub(ARGV[11], n * 18 - 7, n * 18)
  refused[n] = true
  said[number] = (same and '\1' or '\2') .. string.sub(old, 1, 16)
  out[pack] = out[pack] or {}
  out[pack][place] = true
end
if refs > 0 then
  for day = oldest, today do books[#books + 1] = P .. 'f:' .. day end
  local there = call('EXISTS', unpack(books))
  for n = #books, 1, -1 do
    if there == 0 then break end  -- often there is today's only
    if call('EXISTS', books[n]) == 1 then
      there = there - 1
      begun = begun or n == #books
      local values = call('HMGET', books[n], unpack(ARGV, REFS, REFS + refs - 1))
      for m = 1, refs do
        if values[m] and not refused[m] then
          local high, low = struct.unpack('>I2I4', values[m])
          if high * 4294967296 + low > ms - ref_ttl then refuse(m, values[m]) end
        end
      end
    end
  end
  local fresh, kept = {}, ARGV[11]
  for n = 1, refs do
    if not refused[n] then
      local ref = ARGV[REFS + n - 1]
      if fresh[ref] then
        refuse(n, fresh[ref])
      else
        local value = stamp .. string.sub(kept, n * 18 - 17, n * 18)
        fresh[ref] = value
        remember[#remember + 1] = ref
        remember[#remember + 1] = value
      end
    end
  end
end

local facts, added = { 'XADD', P .. 'events', '*', 'r', run }, {}
for i = PACKS, LATER - 1, 3 do
  local lane, count, array = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local less = out[(i - PACKS) / 3 + 1]
  if less then array, count = without(array, less) end
  if count > 0 then
    local pack = '\1' .. stamp .. array
    facts[#facts + 1] = 'P'
    facts[#facts + 1] = pack
    call('XADD', P .. 'intake:' .. lane, '*', 'p', pack)
    added[lane] = (added[lane] or 0) + count
  end
end
if scheduled > 0 then
  facts[#facts + 1] = 'A'
  facts[#facts + 1] = ''
  for i = LATER, REFS - 1, 4 do
    if not (out[0] and out[0][(i - LATER) / 4 + 1]) then
      local id, lane, due, value = stamp .. ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
      facts[#facts + 1] = id
      facts[#facts + 1] = value
      if due > ms then
        park('s', due, id, lane, id .. value, '')
      else
        call('XADD', P .. 'intake:' .. lane, '*', 'm', id .. value)
        added[lane] = (added[lane] or 0) + 1
      end
    end
  end
end

local verdicts
if next(said) then
  local each = {}
  for n = 1, messages do each[n] = said[n] or '\0' end
  verdicts = table.concat(each)
else
  verdicts = string.rep('\0', messages)
end
local reply = stamp .. '\0\0' .. verdicts
if next(added) or #facts > 7 then
  call(unpack(facts))
  if #remember > 0 then
    local book = P .. 'f:' .. today
    call('HSET', book, unpack(remember))
    if not begun then
      -- A new day: what is older than a ref is remembered goes, in the background.
      call('UNLINK', P .. 'f:' .. (oldest - 1), P .. 'f:' .. (oldest - 2))
      call('PEXPIRE', book, ref_ttl + 2 * day_ms)
    end
  end
end
local first = call('HSET', commit_key, field, commit .. reply) == 1
if ARGV[5] ~= '0' and (first or field == '0') then call('PEXPIRE', commit_key, ARGV[5]) end
wake_intake(added)
return reply
