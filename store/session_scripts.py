"""The Lua scripts of sessions. Each uses one key, which is passed to it.

They are steps of docs/session-protocol.md#operations. Before you change one, change tests/model.
"""

# KEYS: an account's set. ARGV: prefix of names, new score, the set's lifetime.
# Raises the score of the name with this prefix and returns the name; nil when there is none.
# Of several, left by specs without `reuse`, it is always the one that ends last.
FIND = """
for _, name in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, -1)) do
  if string.sub(name, 1, #ARGV[1]) == ARGV[1] then
    redis.call('ZADD', KEYS[1], 'XX', 'GT', ARGV[2], name)
    redis.call('EXPIRE', KEYS[1], ARGV[3])
    return name
  end
end
return false
"""

# KEYS: an account's set. ARGV: prefix that must be unique ('' for none), name, score, the set's
# lifetime, maximum of names. Returns the set's name with this prefix, then the surplus names.
REGISTER = """
if ARGV[1] ~= '' then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    if string.sub(name, 1, #ARGV[1]) == ARGV[1] then return {name} end
  end
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local names = {ARGV[2]}
local surplus = redis.call('ZCARD', KEYS[1]) - ARGV[5]
if surplus > 0 then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, surplus)) do
    if name ~= ARGV[2] and #names <= surplus then names[#names + 1] = name end
  end
end
return names
"""

# KEYS: a record. ARGV: an epoch. Revokes the record if its epoch is older. Returns 1 when the
# record is revoked or gone, 0 when its epoch is not older.
REVOKE_OLDER = """
local record = redis.call('GET', KEYS[1])
if not record or record == 'revoked' then return 1 end
local epoch = string.match(record, '^%S+ %S+ %S+ (%d+)')
if tonumber(epoch) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], 'revoked', 'XX', 'KEEPTTL')
return 1
"""

# KEYS: a record. ARGV: an epoch. Gives the record this epoch if its own is older. Returns 1 when
# the record is revoked or gone, else 0.
MOVE = """
local record = redis.call('GET', KEYS[1])
if not record or record == 'revoked' then return 1 end
local before, epoch, after = string.match(record, '^(%S+ %S+ %S+ )(%d+)(.*)$')
if tonumber(epoch) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], before .. ARGV[1] .. after, 'XX', 'KEEPTTL')
end
return 0
"""

# KEYS: an account's set. ARGV: name, new score, the set's lifetime. Adds no name.
EXTEND = """
redis.call('ZADD', KEYS[1], 'XX', 'GT', ARGV[2], ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[3])
"""

# KEYS: a record. ARGV: the generation of a refresh token, the time, the seconds within which the
# generation before is answered again, 1 if an older one ends the session, the lifetime. Returns
# the next generation and the time of its rotation; generation 0 when the record is gone or
# revoked, -1 when this token has ended the session. Both numbers follow the record's six fields.
ROTATE = """
local record = redis.call('GET', KEYS[1])
if not record or record == 'revoked' then return {0, 0} end
local fields, kept, rotated = string.match(record, '^(%S+ %S+ %S+ %S+ %S+ %S+) (%d+) (%d+)$')
fields, kept, rotated = fields or record, tonumber(kept or 0), tonumber(rotated or 0)
local given, now = tonumber(ARGV[1]), tonumber(ARGV[2])
if given == kept - 1 and now - rotated <= tonumber(ARGV[3]) then return {kept, rotated} end
if given < kept and ARGV[4] == '1' then
  redis.call('SET', KEYS[1], 'revoked', 'XX', 'KEEPTTL')
  return {-1, 0}
end
local following = math.max(given, kept) + 1
redis.call('SET', KEYS[1], fields .. ' ' .. following .. ' ' .. ARGV[2], 'EX', ARGV[5])
return {following, now}
"""
