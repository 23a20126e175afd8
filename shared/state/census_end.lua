-- The census is over. ARGV: key, token, incarnation, the time it began (us), type...
-- What it did not see becomes uncertain (never "gone", so it still stands for others): its owner reads it by name.
-- Returns {'lost'} or {'ok', owner...}.
local now, began = now_us(), tonumber(ARGV[4])
if not holds(ARGV[1], ARGV[2], ARGV[3], now) then return { 'lost' } end
local types, answer, seen = {}, { 'ok' }, P .. 'seen:' .. ARGV[2]
for i = 5, #ARGV do types[ARGV[i]] = true end
for _, id in ipairs(call('HKEYS', OWNER)) do
  if types[string.match(id, '^[^/]+')] and call('SISMEMBER', seen, id) == 0 then
    local owner = call('HGET', OWNER, id)
    local text = call('HGET', P .. 'ledger:' .. owner, id)
    local intent, at = string.match(text or '', '"intent":"(%a*)","at":(%d+)')
    if at and tonumber(at) < began and (intent == '' or intent == 'unseen') then
      make_uncertain(id, 'unseen', now)
      answer[#answer + 1] = owner
    end
  end
end
call('DEL', seen)
call('HSET', META, 'ledger_complete', '1')
return answer
