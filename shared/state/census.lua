-- Merges one page of the controller's objects. ARGV: key, token, incarnation, time the page was asked for (us),
-- then id, owner, entry JSON for each object. Objects touched since, open intents and fresh tombstones are left alone.
-- Returns {'lost'} or {'ok', owner of a drifted or new object...}.
local now, asked = now_us(), tonumber(ARGV[4])
if not holds(ARGV[1], ARGV[2], ARGV[3], now) then return { 'lost' } end
local answer = { 'ok' }
local complete = call('HGET', META, 'ledger_complete') == '1'
for i = 5, #ARGV, 3 do
  local id, owner, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  owner = call('HGET', OWNER, id) or owner
  local ledger = P .. 'ledger:' .. owner
  local old = call('HGET', ledger, id)
  local was = old and cjson.decode(old) or nil
  local tomb = tonumber(call('ZSCORE', TOMBS, id) or 0)
  if tomb < asked and not (was and (was.at > asked or (was.intent ~= '' and was.intent ~= 'unseen'))) then
    local new = cjson.decode(text)
    if not was or was.last_modified ~= new.last_modified or was.uuid ~= new.uuid or was.intent ~= '' then
      answer[#answer + 1] = owner
      -- An object that nobody knew of may be one of many to be taken away: the end of the census decides (hold.lua).
      if complete and not was then call('HSETNX', HELD, owner, '') end
      for _, target in ipairs(was and was.references or {}) do call('SREM', P .. 'referrers:' .. target, id) end
      for _, target in ipairs(new.references) do call('SADD', P .. 'referrers:' .. target, id) end
      call('HSET', ledger, id, text); call('HSET', OWNER, id, owner)
      if call('SADD', STANDS, id) == 1 then wake_waiting(id, now) end
    end
  end
  call('SADD', P .. 'seen:' .. ARGV[2], id)
end
call('EXPIRE', P .. 'seen:' .. ARGV[2], 3600)
return answer
