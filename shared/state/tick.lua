-- One process per 0.4 s: due keys and ended claims become ready again.
-- Returns {} when it was somebody else's turn, else {wake-ups to publish, claims that had ended, heads of ready...}.
if not call('SET', P .. 'tick', '1', 'NX', 'PX', 400) then return {} end
local now = now_us()
local ended = call('ZRANGE', CLAIMS, '-inf', now, 'BYSCORE', 'LIMIT', 0, 200)
for _, key in ipairs(ended) do
  drop_claim(key, now)
  local again, class = call('HGET', AGAIN, key), class_of(key)
  call('HDEL', AGAIN, key)
  local lost = call('HINCRBY', LOST, key, 1)
  call('HSET', CLASS, key, again or class)
  if lost > 1 and not again then
    -- The first lost lease is a grace; from the second on it counts as a failure of the key itself.
    local failures = call('HINCRBY', FAILURES, key, 1)
    call('ZADD', LATER, now + math.min(60e6, 0.5e6 * 2 ^ math.min(failures, 7)), key)
  else
    enter(key, again or class, now)
  end
end
for _, key in ipairs(call('ZRANGE', LATER, '-inf', now, 'BYSCORE', 'LIMIT', 0, 200)) do
  call('ZREM', LATER, key)
  enter(key, class_of(key), now)
end
call('ZREMRANGEBYSCORE', TOMBS, '-inf', now - 600e6)
call('ZREMRANGEBYSCORE', P .. 'wakes', '-inf', now)
for _, worker in ipairs(call('ZRANGE', P .. 'workers', '-inf', now - 30e6, 'BYSCORE')) do
  call('ZREM', P .. 'workers', worker); call('HDEL', P .. 'slots', worker); call('HDEL', ALONE, worker)
end
local slots = 0
for _, n in ipairs(call('HVALS', P .. 'slots')) do slots = slots + tonumber(n) end
local ready = call('ZCARD', READY['0']) + call('ZCARD', READY['1'])
local missing = math.min(ready, slots) - call('ZCARD', P .. 'wakes')
local answer = { math.max(0, missing), #ended }
for _, class in ipairs({ '0', '1' }) do
  for _, key in ipairs(call('ZRANGE', READY[class], 0, 19)) do answer[#answer + 1] = key end
end
return answer
