/**
 * What the Redis store does in one step, in Lua: Redis runs a script to its end before it listens to anybody
 * else, so that no other process sees half of it.
 *
 * Keys are given in `KEYS` and share one hash tag: a script works on a cluster, whose node has them all.
 * Whatever stands at a key that somebody else wrote, of whatever type, is an answer and not a failure of the
 * script. Redis 5 or newer: earlier ones refuse `TIME` before a write.
 */
import { createHash } from 'node:crypto';
import type { Bytes } from '../base/bytes.js';

/** What is longer is no entry of ours (`encodeEntry`), and is not sent. */
const largestEntry: Bytes = 64 * 1024;

export interface Script {
  readonly source: string;
  /** What `EVALSHA` finds it by. */
  readonly sha1: string;
}

/**
 * `value` is what a read says; about a key that holds something else than a string, or too much for an entry, as an
 * entry that nobody can decode. `reindex` has the index begin anew when Redis has evicted a part of it (`allkeys-*`):
 * entries of before come back into it when they are read.
 */
const prelude = `
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function value(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return false end
  if kind ~= 'string' then return 'a Redis ' .. kind .. ' and no string' end
  local size = redis.call('STRLEN', key)
  if size > ${largestEntry} then return size .. ' bytes are no entry' end
  return redis.call('GET', key)
end
local function expect(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end
local function total(sizes) return tonumber(redis.call('HGET', sizes, 'total') or '0') or 0 end
local function reindex(used, sizes)
  expect(used, 'zset')
  expect(sizes, 'hash')
  if redis.call('ZCARD', used) == 0 then redis.call('DEL', sizes) end
  if redis.call('HLEN', sizes) == 0 then redis.call('DEL', used) end
end
`;

function script(body: string): Script {
  const source = prelude + body;
  return { source, sha1: createHash('sha1').update(source).digest('hex') };
}

/**
 * KEYS entry, failure, used, sizes; ARGV id, grain (ms), overhead of an entry (bytes). The entry and the failure, each
 * or false. That the entry was used is noted when the last note is older than the grain: most reads write nothing.
 */
export const readScript = script(`
local entry = value(KEYS[1])
if entry then
  expect(KEYS[3], 'zset')
  local last = redis.call('ZSCORE', KEYS[3], ARGV[1])
  local time = now()
  if not last then
    reindex(KEYS[3], KEYS[4])
    local size = #entry + tonumber(ARGV[3])
    if redis.call('HSETNX', KEYS[4], ARGV[1], size) == 1 then
      redis.call('HSET', KEYS[4], 'total', total(KEYS[4]) + size)
    end
  end
  if not last or time - tonumber(last) > tonumber(ARGV[2]) then redis.call('ZADD', KEYS[3], time, ARGV[1]) end
end
return { entry, value(KEYS[2]) }
`);

/** KEYS entry; what is there, as it is read, and no use is noted. */
export const peekScript = script(`return value(KEYS[1])`);

/**
 * KEYS lock; ARGV token, lease (ms). 1 when the lock is taken. A lock that is no string or never ends is none
 * of ours: it would keep everybody out for ever.
 */
export const acquireScript = script(`
expect(KEYS[1], 'string')
if redis.call('PTTL', KEYS[1]) == -1 then redis.call('DEL', KEYS[1]) end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
`);

/** KEYS lock; ARGV token, lease (ms). 1 when the lock is still held, now for another lease. */
export const renewScript = script(`
if value(KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`);

/**
 * KEYS lock, entry, failure, used, sizes; ARGV token, id, bytes of the entry, life (ms), 1 when it replaces
 * something, what it replaces, capacity (bytes), overhead of an entry (bytes), channel, prefix of entry keys.
 * -1 when the lease was lost and nothing was written; else how many entries gave way.
 *
 * The holder may write over what it read, or over nothing: what it read may have been evicted meanwhile.
 * Whose lease ran out may still write when nobody holds it now and nothing has changed since.
 */
export const commitScript = script(`
local holder = value(KEYS[1])
if holder and holder ~= ARGV[1] then return -1 end
local there = value(KEYS[2])
local read = ARGV[5] == '1' and ARGV[6]
if there ~= read and (there or not holder) then return -1 end

reindex(KEYS[4], KEYS[5])
local function forget(id)
  local size = tonumber(redis.call('HGET', KEYS[5], id) or '0') or 0
  redis.call('HDEL', KEYS[5], id)
  redis.call('ZREM', KEYS[4], id)
  redis.call('HSET', KEYS[5], 'total', math.max(0, total(KEYS[5]) - size))
end

redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
forget(ARGV[2])
local size = #ARGV[3] + tonumber(ARGV[8])
redis.call('ZADD', KEYS[4], now(), ARGV[2])
redis.call('HSET', KEYS[5], ARGV[2], size, 'total', total(KEYS[5]) + size)
redis.call('DEL', KEYS[3])

local evicted = 0
while total(KEYS[5]) > tonumber(ARGV[7]) do
  local oldest = redis.call('ZRANGE', KEYS[4], 0, 1)
  local id = oldest[1]
  if id == ARGV[2] then id = oldest[2] end
  if not id then
    -- The sizes are of entries that the index has lost.
    redis.call('DEL', KEYS[5])
    redis.call('HSET', KEYS[5], ARGV[2], size, 'total', size)
    break
  end
  evicted = evicted + redis.call('DEL', ARGV[10] .. id)
  forget(id)
end

if holder then redis.call('DEL', KEYS[1]) end
redis.pcall('PUBLISH', ARGV[9], ARGV[2])
return evicted
`);

/**
 * KEYS lock, failure; ARGV token, id, failure, its life (ms), channel. Writes it, unless the lease was lost.
 */
export const failScript = script(`
if value(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[5], ARGV[2])
return 1
`);

/** KEYS lock; ARGV token, id, channel. */
export const releaseScript = script(`
if value(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[3], ARGV[2])
return 1
`);

/** KEYS entry, used, sizes; ARGV id, channel. How many entries went: 0 or 1. */
export const deleteScript = script(`
expect(KEYS[2], 'zset')
expect(KEYS[3], 'hash')
local gone = redis.call('DEL', KEYS[1])
local size = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or '0') or 0
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
if size > 0 then redis.call('HINCRBY', KEYS[3], 'total', -size) end
redis.pcall('PUBLISH', ARGV[2], ARGV[1])
return gone
`);
