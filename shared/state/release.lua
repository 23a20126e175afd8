-- Claims are handed back by a process that is about to end. ARGV: key, token pairs.
-- Each is ready at once, and no lease counts as lost. Returns the keys that were handed back.
local now, back = now_us(), {}
for i = 1, #ARGV, 2 do
  local key = ARGV[i]
  local claim = call('HGET', CLAIM, key)
  if claim and string.match(claim, '^(%S+) ') == ARGV[i + 1] then
    drop_claim(key, now)
    local again = call('HGET', AGAIN, key)
    call('HDEL', AGAIN, key)
    enter(key, again or class_of(key), now)
    back[#back + 1] = key
  end
end
return back
