-- ARGV: key, token, outcome, delay in us, row ('-' none, '' removes), '1' when the controller answered this run,
-- then kind, object pairs to wait for (kind: stands | gone).
-- outcome: done | again (comes back after the delay, no failure) | waiting | failed | unreachable
-- `row` of a host is JSON {"shards": [...], ...}; a changed row marks the shards of the old and the new
-- one, and the statuses of the Ingresses that name the host. That of a key of Services is JSON by Service id, of what
-- their statuses say; where it changed, they are marked.
-- Returns 'done', 'ready', 'later' or 'lost'.
local key, token, outcome, delay, row, contact = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6] == '1'
local now = now_us()
local claim = call('HGET', CLAIM, key)
if not claim or string.match(claim, '^(%S+) ') ~= token then
  mark(key, 'need', '0', 'a run of it lost its claim', now)
  return 'lost'
end
local started = tonumber(string.match(claim, '(%d+)$'))
call('ZREM', CLAIMS, key); call('HDEL', CLAIM, key); call('HDEL', LOST, key); call('HDEL', WRITING, key)
if string.sub(key, 1, 6) == 'shard:' or string.sub(key, 1, 7) == 'routes:' then
  call('HSET', ENDED, key, string.format('%d %d', now, now - started))
elseif string.sub(key, 1, 5) == 'host:' or is_service(key) then
  local streak = tonumber(string.match(call('GET', P .. 'pace:' .. key) or '', '(%d+)$') or '-1') + 1
  call('SET', P .. 'pace:' .. key, string.format('%d %d', now, streak), 'PX', 3000)
end

if row ~= '-' and is_service(key) then
  local old = call('HGET', SERVED, key) or ''
  if old ~= row then
    if row == '' then call('HDEL', SERVED, key) else call('HSET', SERVED, key, row) end
    for _, text in ipairs({ old, row }) do
      for id, _ in pairs(text ~= '' and cjson.decode(text) or {}) do
        mark('status:Service/' .. id, 'change', class_of(key), key, now)
      end
    end
  end
elseif row ~= '-' then
  local host = string.sub(key, 6)
  local old = call('HGET', ROWS, host)
  local changed = (old or '') ~= row
  -- A shard reads the Ingresses themselves, maybe between two changes that leave the row as it was.
  if call('SREM', MOVED, key) == 1 or changed then
    for _, text in ipairs({ old or '', row }) do
      if text ~= '' then
        for _, shard in ipairs(cjson.decode(text).shards) do
          mark(shard, 'change', class_of(key), 'host ' .. host, now)
          if row == '' then call('SADD', LEAVING, shard) end
        end
      end
    end
  end
  if changed then
    if row == '' then call('HDEL', ROWS, host) else call('HSET', ROWS, host, row) end
    for _, member in ipairs(naming(host)) do
      mark('status:' .. string.match(member, ' (.+)$'), 'change', class_of(key), 'host ' .. host, now)
    end
  end
end

-- The shared breaker: opened by an unreachable controller, closed by its next answer; a probe that asked nothing proves nothing.
local broken = tonumber(call('HGET', META, 'breaker') or '0')
if outcome == 'unreachable' then
  broken = call('HINCRBY', META, 'breaker', 1)
  delay = math.min(30e6, delay * 2 ^ math.min(broken - 1, 5))
  call('HSET', META, 'probe_at', string.format('%d', now + delay))
elseif broken > 0 and contact then
  call('HDEL', META, 'breaker', 'probe_at')
elseif broken > 0 and string.sub(key, 1, 7) ~= 'change:' and string.sub(key, 1, 7) ~= 'status:' then
  call('HSET', META, 'probe_at', string.format('%d', now))
end

local class = class_of(key)
local again = call('HGET', AGAIN, key)
if again then
  call('HDEL', AGAIN, key)
  if enter(key, again, now, true) then return 'ready' end
  return 'later'
end

if outcome == 'waiting' or outcome == 'again' then call('HINCRBY', WAITED, key, 1) end
if outcome == 'waiting' then
  local come = false
  for i = 7, #ARGV, 2 do
    local id = ARGV[i + 1]
    if ARGV[i] == 'stands' then
      come = come or call('SISMEMBER', STANDS, id) == 1
    else
      come = come or call('EXISTS', P .. 'referrers:' .. id) == 0
    end
    call('SADD', P .. 'waiting:' .. id, key)
  end
  if come then
    if enter(key, class, now) then return 'ready' end
    return 'later'
  end
end
if outcome == 'done' then
  forget(key)
  return 'done'
end
if outcome == 'failed' then call('HINCRBY', FAILURES, key, 1) end
call('ZADD', LATER, now + delay, key)
return 'later'
