-- ARGV: token, worker, lease in us, settings digest, key...
-- Takes the first claimable of the named keys, else the head of `ready`. Claiming again with a token returns its claim.
-- Returns {key, incarnation, failures, waited, cause, class, digest of its known problems} or {} when there is nothing to do.
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
  return { key, inc, call('HGET', FAILURES, key) or '0', call('HGET', WAITED, key) or '0', cause, class_of(key), problems }
end

local function take(key)
  call('ZREM', READY['0'], key); call('ZREM', READY['1'], key); call('ZREM', LATER, key)
  call('ZADD', CLAIMS, now + lease, key)
  call('HSET', CLAIM, key, string.format('%s %s %s %d', token, inc, worker, now))
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

for i = 5, #ARGV do
  local claim = call('HGET', CLAIM, ARGV[i])
  if claim and string.match(claim, '^(%S+) ') == token then
    return about(ARGV[i])
  end
  if claimable(ARGV[i]) and allowed(ARGV[i]) then return take(ARGV[i]) end
end
for _, class in ipairs({ '0', '1' }) do
  for _, key in ipairs(call('ZRANGE', READY[class], 0, 7)) do
    if allowed(key) then return take(key) end
  end
end
return {}
