-- Before every script. KEYS[1] is the shard's key prefix. Every script checks everything before its first write,
-- because what a failing script has written stays.
local P = KEYS[1]
local call = redis.call

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Moves are allowed only by a connection to the run that was found to be in step with PostgreSQL.
local function is_open(run)
  return call('GET', P .. 'open') == run
end

local function add_entry(stream, message, journey)
  if journey == '' then
    return call('XADD', stream, '*', 'm', message)
  end
  return call('XADD', stream, '*', 'm', message, 'r', journey)
end

local function add_facts(run, blob)
  if blob ~= '' then
    call('XADD', P .. 'events', '*', 'r', run, 'F', blob)
  end
end

-- What a script will write to is looked at first: each of these fails, before anything is written, when a key holds
-- something else. A key that is not there yet is right.
local function check_stream(name) call('XLEN', P .. name) end

local function check_set(name) call('SCARD', P .. name) end

local function check_hash(name) call('HLEN', P .. name) end

local function check_later() call('ZCARD', P .. 'later') call('HLEN', P .. 'later:body') end

local function check_epoch() assert(tonumber(call('GET', P .. 'epoch') or '0'), 'epoch is no number') end

-- `later:body` holds: kind byte (s: scheduled, r: retry), lane, NUL, length of the message, message, journey.
local function park(kind, due, id, lane, message, journey)
  call('ZADD', P .. 'later', due, id)
  call('HSET', P .. 'later:body', id, kind .. lane .. '\0' .. struct.pack('>I4', #message) .. message .. journey)
end

-- Lane, message, journey; nothing when the body is damaged.
local function unpark(body)
  local nul = string.find(body, '\0', 2, true)
  if not nul or #body < nul + 4 then return end
  local size = struct.unpack('>I4', body, nul + 1)
  if size < 16 or #body < nul + 4 + size then return end
  return string.sub(body, 2, nul - 1), string.sub(body, nul + 5, nul + 4 + size), string.sub(body, nul + 5 + size)
end

-- Whether stream id a comes after b.
local function is_after(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  am, bm = tonumber(am), tonumber(bm)
  if am ~= bm then return am > bm end
  return tonumber(as) > tonumber(bs)
end

-- Messages came into the intake of lanes: they are counted, and whoever reads is told. `added`: lane → how many.
local function wake_intake(added)
  for lane, count in pairs(added) do
    call('HINCRBY', P .. 'depths', lane, count)
    call('SADD', P .. 'lanes', lane)
    call('SPUBLISH', P .. 'wake:intake', lane)
  end
end

-- Where the messages of a pack's array begin, and where it ends; fails for what is no such array.
local function places(array)
  local kind, found = string.byte(array, 1), {}
  local at = kind == 220 and 4 or kind == 221 and 6 or 2
  while at <= #array do
    found[#found + 1] = at
    for _ = 1, 2 do  -- tail, value: msgpack bins with lengths of 8, 16 or 32 bits
      local a, b, c, d, e = string.byte(array, at, at + 4)
      if a == 196 then at = at + 2 + b
      elseif a == 197 then at = at + 3 + b * 256 + c
      else
        assert(a == 198, 'damaged pack')
        at = at + 5 + ((b * 256 + c) * 256 + d) * 256 + e
      end
    end
  end
  found[#found + 1] = at
  return found
end

-- A pack's array without the messages at some places, and how many it has then.
local function without(array, less)
  local at, left = places(array), {}
  for n = 1, #at - 1 do
    if not less[n] then left[#left + 1] = string.sub(array, at[n], at[n + 1] - 1) end
  end
  return '\220' .. struct.pack('>I2', #left * 2) .. table.concat(left), #left
end

-- The set of ids in a pack.
local function ids_of(pack)
  local stamp, array, ids = string.sub(pack, 2, 7), string.sub(pack, 8), {}
  local at = places(array)
  for n = 1, #at - 1 do ids[stamp .. string.sub(array, at[n] + 2, at[n] + 11)] = true end
  return ids
end
