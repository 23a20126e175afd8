-- ARGV: lease in us, then key, token pairs -> the keys whose claim is lost
local now, lost = now_us(), {}
for i = 2, #ARGV, 2 do
  local claim = call('HGET', CLAIM, ARGV[i])
  local inc = claim and string.match(claim, '^%S+ (%S+) ')
  if claim and holds(ARGV[i], ARGV[i + 1], inc, now) then
    call('ZADD', CLAIMS, now + tonumber(ARGV[1]), ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
