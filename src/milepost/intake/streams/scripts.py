"""What must happen in Redis in one step: Lua, run as it stands with each call (a script that is cached goes with a restart)."""

__all__ = ["RAISE", "TAKE"]

# KEYS: the stream; how much of the source has been taken into it. ARGV: how much that must be, and will be; how many values an entry
# has; the entries. → 1, or 0 where somebody else has taken more. It always writes, so that WAIT and AOF also stand for the call before.
TAKE = """
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[1] then return 0 end
local width = tonumber(ARGV[3])
for first = 4, #ARGV, width do
    redis.call('XADD', KEYS[1], '*', unpack(ARGV, first, first + width - 1))
end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""

# KEYS: the stream. ARGV: a position, whole and in its two parts. No later entry gets an id up to it. → 1 if the stream stood below.
RAISE = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('XADD', KEYS[1], ARGV[1], 'raised', '')
    redis.call('XDEL', KEYS[1], ARGV[1])
    return 1
end
local about, last = redis.call('XINFO', 'STREAM', KEYS[1]), nil
for n = 1, #about, 2 do
    if about[n] == 'last-generated-id' then last = about[n + 1] end
end
local dash = string.find(last, '-', 1, true)
local ms, number = tonumber(string.sub(last, 1, dash - 1)), tonumber(string.sub(last, dash + 1))
local wanted_ms, wanted = tonumber(ARGV[2]), tonumber(ARGV[3])
if ms > wanted_ms or (ms == wanted_ms and number >= wanted) then return 0 end
redis.call('XSETID', KEYS[1], ARGV[1])
return 1
"""
