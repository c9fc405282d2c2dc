"""What runs inside Redis, so that writers never race over one customer.

Made for Redis 7.2 and Valkey alike: Lua 5.1 with its `struct` library, nothing newer.
"""

from __future__ import annotations

from recsys.state import ENTRY, FACETS
from serving.state.keys import HASH_BYTES
from serving.state.profiles import PROFILE_HEADER, PROFILE_STATEMENT

_LENGTHS = "I2" * len(FACETS)
_LIMITS = ", ".join(str(facet.limit) for facet in FACETS)

MERGE = f"""
-- KEYS: customers. ARGV: seconds to live, the latest second that can be true, then a state of new
-- entries for each customer. Equals recsys.state.merged(stored, new, limit) for each facet: newest
-- first, each entry once; of what is stored, without what is later than that second.
-- Three 32-bit words order entries: Lua compares strings by the server's locale.
local WIDTH, LENGTHS, LIMITS = {ENTRY.itemsize}, '>{_LENGTHS}', {{{_LIMITS}}}
local N, HEADER = #LIMITS, 2 * #LIMITS
local unpacked, sub = struct.unpack, string.sub

-- How many entries each facet of a state has; nil for bytes that are no state.
local function lengths_of(state)
  if #state < HEADER then return nil end
  local lengths, n = {{unpacked(LENGTHS, state)}}, 0
  for facet = 1, N do n = n + lengths[facet] end
  if #state == HEADER + n * WIDTH then return lengths end
end

-- More than 0 where the entry at byte i of `left` is newer than the one at byte j of `right`.
local function compared(left, i, right, j)
  local a, b, c = unpacked('>I4I4I4', left, i)
  local x, y, z = unpacked('>I4I4I4', right, j)
  if a ~= x then return a - x end
  if b ~= y then return b - y end
  return c - z
end

-- The state without entries later than a second, which a clock that was wrong has left behind: they
-- would fill a facet and let nothing true in. Newest first, so that a facet without any shows it at
-- its first entry.
local function without_later(state, latest)
  local lengths, pieces, j = lengths_of(state), {{''}}, HEADER + 1
  if not lengths then return state end
  for facet = 1, N do
    local past, after = j, j + lengths[facet] * WIDTH
    while past < after and unpacked('>I4', state, past) > latest do past = past + WIDTH end
    lengths[facet] = (after - past) / WIDTH
    pieces[facet + 1], j = sub(state, past, after - 1), after
  end
  pieces[1] = struct.pack(LENGTHS, unpack(lengths, 1, N))
  return table.concat(pieces)
end

-- Whether the newest entry of any facet is later than a second.
local function has_later(state, latest)
  local lengths, j = lengths_of(state), HEADER + 1
  if not lengths then return false end
  for facet = 1, N do
    if lengths[facet] > 0 and unpacked('>I4', state, j) > latest then return true end
    j = j + lengths[facet] * WIDTH
  end
  return false
end

-- The first place from `low` on, of the entries from byte j, that is not newer than the one at i.
local function place_of(new, i, stored, j, low, high)
  if low >= high or compared(new, i, stored, j + low * WIDTH) >= 0 then return low end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if compared(stored, j + middle * WIDTH, new, i) > 0 then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- Merges one facet: its entries start at byte j of `stored` and at byte i of `new`. What goes into
-- the result is added to `pieces`, in runs as long as can be; `copied` bytes of `stored` went there
-- or were dropped. Returns the facet's new length, and `copied`.
local function merged(pieces, copied, stored, j, n_stored, new, i, n_new, limit)
  local low, came = 0, 0
  for at = i, i + (n_new - 1) * WIDTH, WIDTH do
    low = place_of(new, at, stored, j, low, n_stored)
    if low + came >= limit then break end
    local here = j + low * WIDTH
    if low == n_stored or compared(new, at, stored, here) ~= 0 then
      if here > copied + 1 then pieces[#pieces + 1] = sub(stored, copied + 1, here - 1) end
      pieces[#pieces + 1] = sub(new, at, at + WIDTH - 1)
      copied, came = here - 1, came + 1
    end
  end
  local n = math.min(n_stored, limit - came)
  if came > 0 and n < n_stored then
    pieces[#pieces + 1] = sub(stored, copied + 1, j + n * WIDTH - 1)
    copied = j + n_stored * WIDTH - 1
  end
  return n + came, copied
end

-- The state of what is in both, or nil where nothing is new.
local function joined(stored, new)
  local had, got = lengths_of(stored), {{unpacked(LENGTHS, new)}}
  if not had then return new end
  local pieces, copied, j, i = {{''}}, HEADER, HEADER + 1, HEADER + 1
  for facet = 1, N do
    local n_had, n_got = had[facet], got[facet]
    if n_got > 0 then
      had[facet], copied =
        merged(pieces, copied, stored, j, n_had, new, i, n_got, LIMITS[facet])
    end
    j, i = j + n_had * WIDTH, i + n_got * WIDTH
  end
  if not pieces[2] then return nil end
  pieces[1], pieces[#pieces + 1] = struct.pack(LENGTHS, unpack(had, 1, N)), sub(stored, copied + 1)
  return table.concat(pieces)
end

local latest = tonumber(ARGV[2])
for place, key in ipairs(KEYS) do
  local stored = redis.pcall('GET', key)
  -- false: a new customer; a table: something that is no string, and so no state either
  if type(stored) ~= 'string' then stored = '' end
  if has_later(stored, latest) then stored = without_later(stored, latest) end
  local state = joined(stored, ARGV[place + 2])
  if state then redis.call('SET', key, state, 'EX', ARGV[1]) end
end
"""
"""Merges new entries into the states of several customers.

They need not live in one slot: a cluster would want the customers of each slot in a call of theirs.
"""

MOVE = """
-- KEYS[1]: a position. ARGV: the new one, and the one that must stand there, '' for none.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""
"""Sets a position where it is the expected one; returns whether it was."""

REPLACE = """
-- KEYS: customers. ARGV: seconds to live, 0 for good, then for each customer the bytes that must
-- stand there and the new ones. '' stands for no bytes at all; what is no string counts as such.
local replaced = {}
for place, key in ipairs(KEYS) do
  local stored, wanted = redis.pcall('GET', key), ARGV[2 * place + 1]
  replaced[place] = 0
  if (type(stored) == 'string' and stored or '') == ARGV[2 * place] then
    replaced[place] = 1
    if wanted == '' then
      redis.call('DEL', key)
    elseif ARGV[1] == '0' then
      redis.call('SET', key, wanted)
    else
      redis.call('SET', key, wanted, 'EX', ARGV[1])
    end
  end
end
return replaced
"""
"""Replaces the states of those customers who have the expected one; returns for each whether."""

KEEP_NEWEST = f"""
-- KEYS: profiles. ARGV: for each of them new bytes. Of two profiles the one of the newer version
-- stays; bytes that are no profile are written over.
local HEADER, STATEMENT, MEMBER = {PROFILE_HEADER.size}, {PROFILE_STATEMENT.size}, {HASH_BYTES}

-- Whether what is stored is a profile of a version newer than the other's.
local function is_newer(stored, new)
  if type(stored) ~= 'string' or #stored < HEADER then return false end
  local high, low, n_statements, n_members = struct.unpack('>I4I4BB', stored)
  if #stored ~= HEADER + n_statements * STATEMENT + n_members * MEMBER then return false end
  local new_high, new_low = struct.unpack('>I4I4', new)
  return high > new_high or (high == new_high and low > new_low)
end

for place, key in ipairs(KEYS) do
  local stored = redis.pcall('GET', key)
  if stored ~= ARGV[place] and not is_newer(stored, ARGV[place]) then
    redis.call('SET', key, ARGV[place])
  end
end
"""
"""Writes profiles unless newer ones stand there. They live as long as the register has them."""

FIND = f"""
-- KEYS: whatever is wanted, then lists to be kept. ARGV: how the key of a customer begins, before
-- the hash; the first and the last place of profiles among KEYS; how many lists, their seconds to
-- live, and the bytes of each. Returns what is behind the wanted keys; then the keys of customers
-- whom these profiles name and KEYS do not, and what is behind those.
local HEADER, STATEMENT, MEMBER = {PROFILE_HEADER.size}, {PROFILE_STATEMENT.size}, {HASH_BYTES}

local function hex(byte) return string.format('%02x', string.byte(byte)) end

-- First, so that a list just answered is found; one that cannot be kept spoils no reading.
local wanted = #KEYS - tonumber(ARGV[4])
for place = wanted + 1, #KEYS do
  redis.pcall('SET', KEYS[place], ARGV[place - wanted + 5], 'EX', ARGV[5])
end
if wanted == 0 then return {{{{}}, {{}}, {{}}}} end

local found, others, values = redis.call('MGET', unpack(KEYS, 1, wanted)), {{}}, {{}}
local asked
for place = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local profile = found[place]
  if profile and #profile >= HEADER + MEMBER then
    local _, _, n_statements, n_members = struct.unpack('>I4I4BB', profile)
    local first = HEADER + n_statements * STATEMENT + 1
    if n_members > 0 and #profile == first - 1 + n_members * MEMBER then
      if not asked then
        asked = {{}}
        for _, key in ipairs(KEYS) do asked[key] = true end
      end
      for at = first, #profile, MEMBER do
        local hashed = string.sub(profile, at, at + MEMBER - 1)
        local key = ARGV[1] .. string.gsub(hashed, '.', hex) .. '}}'
        if not asked[key] then
          asked[key] = true
          local value = redis.pcall('GET', key)
          others[#others + 1], values[#values + 1] = key, type(value) == 'string' and value
        end
      end
    end
  end
end
return {{found, others, values}}
"""
"""Reads states and profiles, and of whom these say that they are linked, in one round trip.

It keeps lists for a while on the way: a call of its own for them would cost as much again.
"""
