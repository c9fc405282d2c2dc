"""The merge that runs inside Redis, so that writers never race over one customer."""

from __future__ import annotations

from recsys.state import ENTRY

MERGE = f"""
-- KEYS[1]: a customer's hash. ARGV: seconds to live, then (field, limit, new entries) a facet.
-- Equals recsys.state.merged(stored, new, limit): newest first, each (time, position) once.
-- Three 32-bit words name an entry: a Lua number holds no 64-bit position exactly, and Lua
-- compares strings by the server's locale.
local WIDTH = {ENTRY.itemsize}
local unpack_key = struct.unpack

local function compared(left, i, right, j)
  local a, b, c = unpack_key('>I4I4I4', left, i * WIDTH + 1)
  local x, y, z = unpack_key('>I4I4I4', right, j * WIDTH + 1)
  if a ~= x then return a - x end
  if b ~= y then return b - y end
  return c - z
end

-- The first place from `low` on whose entry is not newer than entry i of `new`.
local function place_of(new, i, stored, low, high)
  if low >= high or compared(new, i, stored, low) >= 0 then return low end
  while low < high do
    local middle = math.floor((low + high) / 2)
    if compared(stored, middle, new, i) > 0 then low = middle + 1 else high = middle end
  end
  return low
end

local function merged(stored, new, limit)
  local n_stored, n_new = #stored / WIDTH, #new / WIDTH
  local pieces, n, taken, low = {{}}, 0, 0, 0
  for i = 0, n_new - 1 do
    local place = place_of(new, i, stored, low, n_stored)
    if place > low then
      n = n + 1
      pieces[n] = string.sub(stored, low * WIDTH + 1, place * WIDTH)
      taken = taken + place - low
      low = place
    end
    if taken >= limit then break end
    if low < n_stored and compared(new, i, stored, low) == 0 then low = low + 1 end
    n = n + 1
    pieces[n] = string.sub(new, i * WIDTH + 1, (i + 1) * WIDTH)
    taken = taken + 1
  end
  if taken < limit then pieces[n + 1] = string.sub(stored, low * WIDTH + 1) end
  return string.sub(table.concat(pieces), 1, limit * WIDTH)
end

local changed = false
for place = 2, #ARGV, 3 do
  local stored = redis.call('HGET', KEYS[1], ARGV[place]) or ''
  local whole = #stored % WIDTH == 0 and stored or ''
  local result = merged(whole, ARGV[place + 2], tonumber(ARGV[place + 1]))
  if result ~= stored then
    redis.call('HSET', KEYS[1], ARGV[place], result)
    changed = true
  end
end
if changed then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return changed and 1 or 0
"""
"""Merges new entries into the facets of one customer; returns 1 where anything changed."""
