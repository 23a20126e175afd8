-- Common ground of every script: names, time, the run check, and how a key is marked.
-- KEYS[1] is the prefix of all our Redis keys; every script is one atomic step and takes the time from Redis.
local P = KEYS[1]
local META, LATER, CLAIMS = P .. 'meta', P .. 'later', P .. 'claims'
local READY = { ['0'] = P .. 'ready:0', ['1'] = P .. 'ready:1' }
local CLAIM, AGAIN, CLASS = P .. 'claim', P .. 'again', P .. 'class'
local CAUSE, FAILURES, WAITED, LOST, ENDED = P .. 'cause', P .. 'failures', P .. 'waited', P .. 'lost', P .. 'ended'
local OWNER, STANDS, TOMBS, ROWS = P .. 'owner', P .. 'stands', P .. 'tombs', P .. 'rows'
local SERVED = P .. 'served' -- key of Services -> what their statuses say (finish.lua)
-- alone: worker -> the key that it runs alone, or empties itself for. held: keys that a census keeps from writing.
-- leaving: hosts that an Ingress let go of, and shards that a host has left, until they have been run to their end.
local ALONE, HELD, LEAVING = P .. 'alone', P .. 'held', P .. 'leaving'
local ALONE_AFTER = 3 -- lost leases
local WRITING = P .. 'writing' -- key -> the object that its run is writing by PUT
local ERRORS = P .. 'errors' -- key -> the error of its last run, and when; gone when a run is done
local MOVED = P .. 'moved' -- hosts whose Ingresses or Secrets have changed since their last finished run

local function call(...) return redis.call(...) end

local function now_us()
  local t = call('TIME')
  return t[1] * 1000000 + t[2]
end

local function server_run()
  return string.match(call('INFO', 'server'), 'run_id:(%x+)')
end

-- The incarnation, or false when Redis is not the one that it belongs to.
local function incarnation()
  local meta = call('HMGET', META, 'incarnation', 'run_id')
  if not meta[1] or meta[2] ~= server_run() then return false end
  return meta[1]
end

local function is_control(key)
  return key == 'resync' or string.sub(key, 1, 7) == 'change:'
end

-- What serves Services of type LoadBalancer: one of them, or all that share a VIP.
local function is_service(key)
  return string.sub(key, 1, 3) == 'lb:' or string.sub(key, 1, 9) == 'lbshared:'
end

-- Control keys go first; a status is written after the hosts that were marked with it.
local function order(key, now)
  if is_control(key) then return now - 1e15 end
  if string.sub(key, 1, 7) == 'status:' then return now + 2e6 end
  return now
end

-- A host or Service that keeps changing is run at growing distances: three times at once, then 0.4 s after its last
-- end, 0.8 s and from then on 1.6 s. Three seconds without a run begin anew (see finish.lua).
local function paced(key, now)
  local at, streak = string.match(call('GET', P .. 'pace:' .. key) or '', '^(%d+) (%d+)$')
  if not at or tonumber(streak) < 2 then return now end
  return math.max(now, tonumber(at) + math.min(1600000, 100000 * 2 ^ tonumber(streak)))
end

-- A shard gathers the changes of its hosts, routes those of all nodes: not again before max(0.5 s, 4 x the last
-- duration) after the last end.
local function gathered(key, now)
  local ended = call('HGET', ENDED, key)
  if not ended then return now end
  local at, took = string.match(ended, '^(%d+) (%d+)$')
  return math.max(now, tonumber(at) + math.max(500000, 4 * tonumber(took)))
end

-- Each write of routes is one of the whole VRF, which others write too: 2 s after the first of a row, then 10 s. A
-- quarter of a minute without a write begins anew (see step.lua).
local function spaced(key, now)
  local at, streak = string.match(call('GET', P .. 'pace:' .. key) or '', '^(%d+) (%d+)')
  if not at then return now end
  return math.max(now, tonumber(at) + (streak == '0' and 2000000 or 10000000))
end

-- `changed`: it is a change that asks, not something that was waited for.
local function debounced(key, now, changed)
  local kind = string.match(key, '^%a+')
  if kind == 'shard' then return gathered(key, now) end
  if not changed then return now end
  if kind == 'host' or is_service(key) then return paced(key, now) end
  if kind == 'routes' then return math.max(gathered(key, now), spaced(key, now)) end
  return now
end

local function class_of(key)
  return call('HGET', CLASS, key) or '1'
end

-- The host of a rule without one ends in a dot: the cloud's first DNS domain belongs behind it.
local function domain()
  return call('HGET', META, 'domain') or ''
end

-- The key, completed when it is that of such a host; nil while the cloud has no domain, so that there is no such host.
local function resolved(key)
  if string.sub(key, 1, 5) ~= 'host:' or string.sub(key, -1) ~= '.' then return key end
  local behind = domain()
  if behind == '' then return nil end
  return key .. behind
end

-- What the index has of a host: of the rules that name it, and of a rule without host that means it.
local function naming(host)
  local found, behind = call('SMEMBERS', P .. 'ix:Host/' .. host), domain()
  if behind ~= '' and string.sub(host, -#behind - 1) == '.' .. behind then
    for _, member in ipairs(call('SMEMBERS', P .. 'ix:Host/' .. string.sub(host, 1, -#behind - 1))) do
      found[#found + 1] = member
    end
  end
  return found
end

-- Puts a key that is nowhere into `ready`, or into `later` while its debounce runs.
local function enter(key, class, now, changed)
  call('HSET', CLASS, key, class)
  local due = debounced(key, now, changed)
  if due > now then
    call('ZADD', LATER, due, key)
    return false
  end
  call('ZADD', READY[class], 'NX', order(key, now), key)
  return true
end

-- Brings a waiting key forward; its class may only improve.
local function bring_forward(key, class, now, changed)
  local due = debounced(key, now, changed)
  if due > now then
    call('ZADD', LATER, 'LT', due, key)
    return false
  end
  call('ZREM', LATER, key)
  return enter(key, class, now, changed)
end

-- mark: 'change' (due now, clears failures, live class), 'wake' (due now, clears nothing), 'need' (adds only).
-- Returns true when the key is ready to be claimed.
local function mark(key, strength, class, cause, now)
  key = resolved(key)
  if not key then return false end
  if call('ZSCORE', CLAIMS, key) then
    local old = call('HGET', AGAIN, key)
    call('HSET', AGAIN, key, (old == '0' or class == '0') and '0' or '1')
    if strength == 'change' then call('HDEL', FAILURES, key); call('HDEL', WAITED, key) end
    if cause ~= '' then call('HSET', CAUSE, key, cause) end
    return false
  end
  local waiting, ready0 = call('ZSCORE', LATER, key), call('ZSCORE', READY['0'], key)
  local ready1 = not ready0 and call('ZSCORE', READY['1'], key)
  if strength == 'need' and (waiting or ready0 or ready1) then return false end
  if cause ~= '' then call('HSET', CAUSE, key, cause) end
  if strength == 'change' then
    -- Lost leases are not forgotten: a key that kills its workers may change as often as it likes.
    call('HDEL', FAILURES, key); call('HDEL', WAITED, key)
    if ready1 and class == '0' then
      call('ZREM', READY['1'], key)
      ready1 = false
    end
  end
  if ready0 or ready1 then return false end
  if waiting then
    local kept = class_of(key)
    return bring_forward(key, (class == '0' or kept == '0') and '0' or '1', now, strength == 'change')
  end
  return enter(key, class, now, strength == 'change')
end

local function forget(key)
  for _, hash in ipairs({ CAUSE, CLASS, FAILURES, WAITED, LOST, ERRORS }) do call('HDEL', hash, key) end
  call('SREM', LEAVING, key)
end

-- Opens an intent on an object that the ledger knows: its owner reads it before it believes in it.
local function make_uncertain(id, intent, now)
  local owner = call('HGET', OWNER, id)
  local text = owner and call('HGET', P .. 'ledger:' .. owner, id)
  if not text then return nil end
  local stamp = '"intent":"' .. intent .. '","at":' .. string.format('%d', now)
  text = string.gsub(text, '"intent":"%a*","at":%d+', stamp, 1)
  call('HSET', P .. 'ledger:' .. owner, id, text)
  return owner
end

-- The entry of an object of which only that is known: somebody may have made it.
local function add_uncertain(key, id, intent, now)
  local stamp = '{"intent":"' .. intent .. '","at":' .. string.format('%d', now)
  local rest = ',"uuid":"","last_modified":"","owned":{},"references":[],"extra":{}}'
  call('HSET', P .. 'ledger:' .. key, id, stamp .. ',"id":' .. cjson.encode(id) .. rest)
  call('HSET', OWNER, id, key)
end

-- A run ends without saying how: the PUT that it may have sent may still take effect.
local function drop_claim(key, now)
  call('ZREM', CLAIMS, key); call('HDEL', CLAIM, key)
  local id = call('HGET', WRITING, key)
  if id then
    call('HDEL', WRITING, key)
    make_uncertain(id, 'update', now)
  end
end

-- Wakes whoever waits for something about this Avi object.
local function wake_waiting(id, now)
  local waiting = P .. 'waiting:' .. id
  local keys = call('SMEMBERS', waiting)
  if #keys == 0 then return end
  call('DEL', waiting)
  for _, key in ipairs(keys) do mark(key, 'wake', class_of(key), 'what it waited for: ' .. id, now) end
end

-- The claim is ours, alive, and of this incarnation of this Redis.
local function holds(key, token, inc, now)
  local claim = call('HGET', CLAIM, key)
  if not claim or string.match(claim, '^(%S+) ') ~= token then return false end
  if tonumber(call('ZSCORE', CLAIMS, key) or 0) <= now then return false end
  return incarnation() == inc
end
