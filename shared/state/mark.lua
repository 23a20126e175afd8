-- ARGV: strength, class, cause, key... -> the keys that became ready
local now, ready = now_us(), {}
for i = 4, #ARGV do
  if mark(ARGV[i], ARGV[1], ARGV[2], ARGV[3], now) then ready[#ready + 1] = ARGV[i] end
end
return ready
