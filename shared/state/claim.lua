-- ARGV: token, worker, lease in us, settings digest, key...
-- Takes the first claimable of the named keys, else the head of `ready`. Claiming again with a token returns its claim.
-- Returns {} when there is nothing to do, else {key, incarnation, failures, waited, cause, class, digests of its known
-- problems, lost leases, 1 when a census holds the key}.
local token, worker, lease, digest = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local now, inc = now_us(), incarnation()
if not inc then return {} end
local meta = call('HMGET', META, 'mirror_complete', 'ledger_complete', 'digest', 'breaker', 'probe_at', 'facts_digest')
if meta[3] ~= digest then return {} end
local open_gate = meta[1] == '1' and meta[2] == '1'
local broken = tonumber(meta[4] or '0') > 0

local probing = not broken or now >= tonumber(meta[5] or '0')

local function allowed(key)
  if key == 'resync' then return meta[1] == '1' and probing end
  -- Expanding a wide change needs the facts of a census, but not the controller.
  if is_control(key) then return meta[6] end
  if not open_gate then return false end
  return probing or string.sub(key, 1, 7) == 'status:'
end

local function about(key)
  local cause, problems = call('HGET', CAUSE, key) or '', call('HGET', P .. 'problems', key) or ''
  local lost, held = call('HGET', LOST, key) or '0', call('HEXISTS', HELD, key)
  local failures, waited = call('HGET', FAILURES, key) or '0', call('HGET', WAITED, key) or '0'
  return { key, inc, failures, waited, cause, class_of(key), problems, lost, held }
end

local function take(key)
  call('ZREM', READY['0'], key); call('ZREM', READY['1'], key); call('ZREM', LATER, key)
  call('ZADD', CLAIMS, now + lease, key)
  call('HSET', CLAIM, key, string.format('%s %s %s %d', token, inc, worker, now))
  call('SET', P .. 'token:' .. token, key, 'PX', math.ceil(lease / 1000))
  if broken and string.sub(key, 1, 7) ~= 'change:' then
    call('HSET', META, 'probe_at', string.format('%d', now + lease))
  end
  return about(key)
end

local function claimable(key)
  if call('ZSCORE', CLAIMS, key) then return false end
  if call('ZSCORE', READY['0'], key) or call('ZSCORE', READY['1'], key) then return true end
  local due = call('ZSCORE', LATER, key)
  return due and tonumber(due) <= now
end

local function holder_of(claim)
  return string.match(claim, '^%S+ %S+ (%S+) ')
end

-- Whether this process holds no claim at all.
local function idle()
  for _, claim in ipairs(call('HVALS', CLAIM)) do
    if holder_of(claim) == worker then return false end
  end
  return true
end

-- A key that lost three leases may be what kills or hangs its workers, so it takes no other key down with it.
local function solitary(key)
  return tonumber(call('HGET', LOST, key) or '0') >= ALONE_AFTER
end

local function another_empties_itself_for(key)
  local pairs_ = call('HGETALL', ALONE)
  for i = 1, #pairs_, 2 do
    if pairs_[i + 1] == key and pairs_[i] ~= worker and call('ZSCORE', P .. 'workers', pairs_[i]) then return true end
  end
  return false
end

-- Takes the key. For one that runs alone this process first claims nothing until its other runs have ended, so
-- that the key's turn comes however busy the worker is: {}. Returns nil when another process does that already.
local function try(key)
  if not solitary(key) then return take(key) end
  if another_empties_itself_for(key) then return nil end
  call('HSET', ALONE, worker, key)
  return idle() and take(key) or {}
end

local known = call('GET', P .. 'token:' .. token)
local claim = known and call('HGET', CLAIM, known)
if claim and string.match(claim, '^(%S+) ') == token then return about(known) end

local alone = call('HGET', ALONE, worker)
if alone then
  local running = call('HGET', CLAIM, alone)
  if running and holder_of(running) == worker then return {} end
  if solitary(alone) and claimable(alone) and allowed(alone) then return idle() and take(alone) or {} end
  call('HDEL', ALONE, worker)
end
for i = 5, #ARGV do
  local taken = claimable(ARGV[i]) and allowed(ARGV[i]) and try(ARGV[i])
  if taken then return taken end
end
for _, class in ipairs({ '0', '1' }) do
  -- Eight are enough where nothing is allowed; those that others empty themselves for are passed over.
  local last = 7
  for _, key in ipairs(call('ZRANGE', READY[class], 0, 63)) do
    if last < 0 then break end
    local taken = allowed(key) and try(key)
    if taken then return taken end
    if not solitary(key) then last = last - 1 end
  end
end
return {}
