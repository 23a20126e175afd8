-- Objects that turned out to be missing or changed: their entries become uncertain and their owners look again.
-- ARGV: cause, object id... Objects that the ledger does not know are left alone.
local now = now_us()
for i = 2, #ARGV do
  local id = ARGV[i]
  local owner = call('HGET', OWNER, id)
  local text = owner and call('HGET', P .. 'ledger:' .. owner, id)
  if text then
    text = string.gsub(text, '"intent":"%a*","at":%d+', '"intent":"unseen","at":' .. string.format('%d', now), 1)
    call('HSET', P .. 'ledger:' .. owner, id, text)
    call('SREM', STANDS, id)
    mark(owner, 'wake', class_of(owner), ARGV[1], now)
  end
end
return {}
