-- Writes a batch of projections of one kind. ARGV[1] is JSON:
-- {epoch, incarnation, kind, class, cause, changed: [{id, body, status, links, marks, touches, index}], deleted: [id]}
-- `body`, `status` and `links` are JSON texts compared as such; `links` repeats marks, touches and index.
-- Returns {'stale'} or {'ok', marked key...}; nothing is marked by an object that did not change.
local batch = cjson.decode(ARGV[1])
local now = now_us()
local inc = incarnation()
if inc ~= batch.incarnation or tonumber(call('HGET', META, 'epoch') or 0) ~= batch.epoch then return { 'stale' } end
local M, S, L = P .. 'mirror:' .. batch.kind, P .. 'status:' .. batch.kind, P .. 'links:' .. batch.kind
local touched, answer, seen, changed = {}, { 'ok' }, {}, false

local function note(key)
  key = resolved(key)
  if key and key ~= '-' and not seen[key] then
    seen[key] = true
    touched[#touched + 1] = key
  end
end

-- A member without a key of its own stands for its dependents: a Pod touches the Services that select it by labels.
local function touch(ref)
  for _, member in ipairs(call('SMEMBERS', P .. 'ix:' .. ref)) do
    local key, object = string.match(member, '^(%S+) (.+)$')
    if key == '-' then touch(object) else note(key) end
  end
end

local function note_links(links)
  for _, key in ipairs(links.marks) do note(key) end
  for _, ref in ipairs(links.touches) do touch(ref) end
end

-- Hosts that an Ingress names no more, Services that have gone: what is taken away for that is no surprise to a census.
local function note_leaving(old, new)
  local kept = {}
  for _, key in ipairs(new and new.marks or {}) do kept[key] = true end
  for _, key in ipairs(old.marks) do
    local host = not kept[key] and string.sub(key, 1, 5) == 'host:' and resolved(key)
    if host then call('SADD', LEAVING, host) end
    if not kept[key] and is_service(key) then call('SADD', LEAVING, key) end
  end
end

local function relink(old, new)
  if old then
    for _, pair in ipairs(old.index) do call('SREM', P .. 'ix:' .. pair[1], pair[2]) end
  end
  if new then
    for _, pair in ipairs(new.index) do call('SADD', P .. 'ix:' .. pair[1], pair[2]) end
  end
end

for _, item in ipairs(batch.changed) do
  local body, links = call('HGET', M, item.id), call('HGET', L, item.id)
  if body ~= item.body or links ~= item.links then
    changed = true
    local old = links and cjson.decode(links) or nil
    if old then
      note_links(old)
      note_leaving(old, item)
    end
    relink(old, item)
    note_links(item)
    call('HSET', M, item.id, item.body); call('HSET', L, item.id, item.links)
  end
  if item.status and call('HGET', S, item.id) ~= item.status then
    call('HSET', S, item.id, item.status)
    note('status:' .. batch.kind .. '/' .. item.id)
  end
  if not item.status then call('HDEL', S, item.id) end
end
for _, id in ipairs(batch.deleted) do
  local links = call('HGET', L, id)
  if links then
    changed = true
    local old = cjson.decode(links)
    note_links(old)
    note_leaving(old, nil)
    relink(old, nil)
  end
  call('HDEL', M, id); call('HDEL', S, id); call('HDEL', L, id)
end
-- A time, not a count: a count begins anew after a flush, and a cache of then would seem to be of now.
if changed then call('HSET', P .. 'versions', batch.kind, string.format('%d', now)) end
local read_by_shards = batch.kind == 'Ingress' or batch.kind == 'Secret'
for _, key in ipairs(touched) do
  if read_by_shards and string.sub(key, 1, 5) == 'host:' then call('SADD', MOVED, key) end
  mark(key, 'change', batch.class, batch.cause, now)
  answer[#answer + 1] = key
end
return answer
