-- One step of a running plan: record what the last call did, then permit the next. ARGV[1] is JSON:
-- {key, token, incarnation, record: {id, entry|false, references, looked}|false, permit: {id, intent}|false}
-- `entry` is the entry's JSON text, false when the object is gone. Returns {verdict, detail}:
-- 'ok' | 'lost' (the claim is not ours any more: write nothing) | 'owned' (detail: the key that owns the name)
-- | 'held' (a census keeps the key from writing)
local args = cjson.decode(ARGV[1])
local now, key = now_us(), args.key
if not holds(key, args.token, args.incarnation, now) then return { 'lost', '' } end

local function set_references(id, old, new)
  local keep = {}
  for _, target in ipairs(new) do keep[target] = true end
  for _, target in ipairs(old) do
    if not keep[target] then
      call('SREM', P .. 'referrers:' .. target, id)
      if call('EXISTS', P .. 'referrers:' .. target) == 0 then wake_waiting(target, now) end
    end
  end
  for _, target in ipairs(new) do call('SADD', P .. 'referrers:' .. target, id) end
end

-- A look does not settle what was doubted again while it went on.
local function doubted_since(record)
  local old = record.looked and call('HGET', P .. 'ledger:' .. key, record.id)
  return old and tonumber(string.match(old, '"at":(%d+)')) ~= record.looked
end

call('HDEL', WRITING, key)
if args.record and not doubted_since(args.record) then
  local id = args.record.id
  local owner = call('HGET', OWNER, id) or key
  local ledger = P .. 'ledger:' .. owner
  local old = call('HGET', ledger, id)
  set_references(id, old and cjson.decode(old).references or {}, args.record.references)
  if args.record.entry then
    -- An entry whose intent stays open keeps the time of the intent.
    local text = string.gsub(args.record.entry, '"intent":"","at":%d+', '"intent":"","at":' .. string.format('%d', now), 1)
    call('HSET', ledger, id, text); call('HSET', OWNER, id, owner)
    if call('SADD', STANDS, id) == 1 then wake_waiting(id, now) end
  else
    call('HDEL', ledger, id); call('HDEL', OWNER, id); call('SREM', STANDS, id)
    call('ZADD', TOMBS, now, id)
    wake_waiting(id, now)
  end
end

if args.permit and call('HEXISTS', HELD, key) == 1 then return { 'held', '' } end
if args.permit then
  local id = args.permit.id
  local owner = call('HGET', OWNER, id)
  if owner and owner ~= key then return { 'owned', owner } end
  if args.permit.intent ~= '' then
    if owner then make_uncertain(id, args.permit.intent, now) else add_uncertain(key, id, args.permit.intent, now) end
    call('SREM', STANDS, id)
  else
    call('HSET', WRITING, key, id)
  end
  if string.sub(key, 1, 7) == 'routes:' then -- a run that has to write again (412) counts once
    local streak, token = string.match(call('GET', P .. 'pace:' .. key) or '', '^%d+ (%d+) (%S+)$')
    if token ~= args.token then streak = tonumber(streak or '-1') + 1 end
    call('SET', P .. 'pace:' .. key, string.format('%d %d %s', now, streak, args.token), 'PX', 15000)
  end
end
return { 'ok', '' }
