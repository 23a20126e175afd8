-- Objects that turned out to be missing or changed: their entries become uncertain and their owners look again.
-- ARGV: cause, how ('changed'; 'gone': others wait for them; 'open': a PUT may still take effect), a key or '', object
-- id... Objects that the ledger does not know are left alone, or are that key's from now on.
local now, key = now_us(), ARGV[3]
for i = 4, #ARGV do
  local owner = make_uncertain(ARGV[i], ARGV[2] == 'open' and 'update' or 'unseen', now)
  if not owner and key ~= '' then
    add_uncertain(key, ARGV[i], 'create', now)
    owner = key
  end
  if owner then
    if ARGV[2] == 'gone' then call('SREM', STANDS, ARGV[i]) end
    mark(owner, 'wake', class_of(owner), ARGV[1], now)
  end
end
return {}
