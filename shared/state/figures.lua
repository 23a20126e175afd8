-- What /metrics says of the whole site, as JSON; see shared/state/figures.py. ARGV: the most keys of a set to look at,
-- about how many keys with problems to read, for how many ms the answer is good for others who ask.
local known = call('GET', P .. 'figures')
if known then return known end
local now, most = now_us(), tonumber(ARGV[1])
local due, later, claimed, oldest = {}, {}, {}, {}

local function kind_of(key) return string.match(key, '^%a+') or 'other' end
local function count(found, kind, n) found[kind] = (found[kind] or 0) + n end

-- When a ready key was put there: `order` of lib.lua the other way round.
local function since(key, score)
  if is_control(key) then return score + 1e15 end
  if string.sub(key, 1, 7) == 'status:' then return score - 2e6 end
  return score
end

-- Counts the members of a set by their kind; those beyond `most` are of the kind "unread".
local function read(set, low, high, found, at)
  local members = call('ZRANGE', set, low, high, 'BYSCORE', 'LIMIT', 0, most, 'WITHSCORES')
  for i = 1, #members, 2 do
    local kind = kind_of(members[i])
    count(found, kind, 1)
    if at then
      local age = (now - at(members[i], tonumber(members[i + 1]))) / 1e6
      oldest[kind] = math.max(oldest[kind] or 0, age)
    end
  end
  local rest = call('ZCOUNT', set, low, high) - #members / 2
  if rest > 0 then count(found, 'unread', rest) end
end

for _, class in ipairs({ '0', '1' }) do read(READY[class], '-inf', '+inf', due, since) end
read(LATER, '-inf', now, due, function(_, score) return score end)
read(LATER, '(' .. string.format('%d', now), '+inf', later)
read(CLAIMS, '-inf', '+inf', claimed)

local failing = {}
local failed = call('HLEN', FAILURES)
if failed > most then
  failing.unread = failed
else
  for _, key in ipairs(call('HKEYS', FAILURES)) do count(failing, kind_of(key), 1) end
end

local mirror = {}
for _, kind in ipairs(call('HKEYS', P .. 'versions')) do mirror[kind] = call('HLEN', P .. 'mirror:' .. kind) end

local function hash(name)
  local fields, flat = {}, call('HGETALL', P .. name)
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- A census that is under way holds objects that it has just found, without a reason; at its end it decides.
local held = 0
for _, reason in ipairs(call('HVALS', HELD)) do
  if reason ~= '' then held = held + 1 end
end

-- Of each key a list of [kind, namespace, name, reason, text, warning]. Parsing is dear: of many keys some are read.
local problems, unserved = {}, 0
local scan = call('HSCAN', P .. 'problems', 0, 'COUNT', ARGV[2])
for i = 2, #scan[2], 2 do
  local known, list = pcall(cjson.decode, scan[2][i])
  local vips = {} -- each Ingress that names a host is told of the same VIP
  for _, problem in ipairs(known and type(list) == 'table' and list or {}) do
    local reason, text = problem[4], problem[5]
    count(problems, reason, 1)
    if reason == 'NoServers' and not vips[text] then
      vips[text] = true
      unserved = unserved + 1
    end
  end
end
if scan[1] ~= '0' then problems.unread = call('HLEN', P .. 'problems') - #scan[2] / 2 end

local slots, workers = 0, call('ZRANGE', P .. 'workers', now - 15e6, '+inf', 'BYSCORE')
for _, worker in ipairs(workers) do slots = slots + tonumber(call('HGET', P .. 'slots', worker) or '0') end
local meta = call('HMGET', META, 'epoch', 'digest', 'mirror_complete', 'ledger_complete', 'breaker', 'census')
local text = cjson.encode({
  due = due, later = later, claimed = claimed, oldest = oldest, failing = failing,
  held = held, standing = call('SCARD', STANDS), mirror = mirror,
  workers = #workers, slots = slots,
  epoch = tonumber(meta[1] or '0'), digest = meta[2] or '',
  mirror_complete = meta[3] == '1', ledger_complete = meta[4] == '1', breaker = tonumber(meta[5] or '0'),
  problems = problems, unserved = unserved, census = meta[6] or '{}', left_out = hash('left_out'),
})
call('SET', P .. 'figures', text, 'PX', ARGV[3])
return text
