/**
 * The scripts, each one atomic step of Redis. `entries` is a hash of key -> version, line feed, JSON; `keys` a sorted set of the same keys, for
 * their order; `meta` a hash with the format and the last version. Numbers travel as text: Redis would cut them to integers of its own.
 *
 * A version is the server's time in microseconds, or one above the last where time stands still. So it is not used again for a key
 * after its removal, nor after the server lost its newest writes or everything, when a counter would begin over: whoever still knows
 * a version of before is beaten.
 */

/** KEYS entries, keys, meta; ARGV format, then key, JSON and expected version of each. Returns their versions, or nil when one was beaten. */
export const PUT_SCRIPT = `
for i = 2, #ARGV, 3 do
  local stored = redis.call('HGET', KEYS[1], ARGV[i])
  local version = stored and string.match(stored, '^%d+') or '0'
  if version ~= ARGV[i + 2] then return false end
end
local time = redis.call('TIME')
local version = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('HGET', KEYS[3], 'last') or '0')
if version <= last then version = last + 1 end
redis.call('HSET', KEYS[3], 'format', ARGV[1], 'last', string.format('%.0f', version + (#ARGV - 1) / 3 - 1))
local versions = {}
for i = 2, #ARGV, 3 do
  local text = string.format('%.0f', version + (i - 2) / 3)
  redis.call('HSET', KEYS[1], ARGV[i], text .. '\\n' .. ARGV[i + 1])
  redis.call('ZADD', KEYS[2], 0, ARGV[i])
  versions[#versions + 1] = text
end
return versions
`;

/** KEYS entries, keys; ARGV key, and the expected version or nothing. Returns 1, or 0 when it was another. */
export const REMOVE_SCRIPT = `
if ARGV[2] ~= '' then
  local stored = redis.call('HGET', KEYS[1], ARGV[1])
  local version = stored and string.match(stored, '^%d+') or '0'
  if version ~= ARGV[2] then return 0 end
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
`;

/** KEYS entries, keys; ARGV the range's two ends and the most entries. Returns key, entry, key, entry, ... in key order. */
export const PAGE_SCRIPT = `
local keys = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
if #keys == 0 then return {} end
local entries = redis.call('HMGET', KEYS[1], unpack(keys))
local page = {}
for i = 1, #keys do
  page[#page + 1] = keys[i]
  page[#page + 1] = entries[i]
end
return page
`;

/** KEYS lease; ARGV token, milliseconds. Returns 1, or 0 while another token holds it. */
export const LEASE_SCRIPT = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`;

/** KEYS lease; ARGV token. Removes the lease of this token. */
export const RELEASE_SCRIPT = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`;
