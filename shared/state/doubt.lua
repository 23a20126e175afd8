-- Objects that turned out to be missing or changed: their entries become uncertain and their owners look again.
-- ARGV: cause, how ('changed'; 'gone': others wait for them; 'open': a PUT may still take effect), object id...
-- Objects that the ledger does not know are left alone.
local now = now_us()
for i = 3, #ARGV do
  local owner = make_uncertain(ARGV[i], ARGV[2] == 'open' and 'update' or 'unseen', now)
  if owner then
    if ARGV[2] == 'gone' then call('SREM', STANDS, ARGV[i]) end
    mark(owner, 'wake', class_of(owner), ARGV[1], now)
  end
end
return {}
