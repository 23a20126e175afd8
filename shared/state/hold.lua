-- A census says which keys may write nothing until another one agrees. ARGV: census key, token, incarnation,
-- then key, reason pairs; they take the place of those held before. Returns {'lost'} or {'ok', key held no more...}.
if not holds(ARGV[1], ARGV[2], ARGV[3], now_us()) then return { 'lost' } end
local wanted, answer = {}, { 'ok' }
for i = 4, #ARGV, 2 do wanted[ARGV[i]] = true end
for _, key in ipairs(call('HKEYS', HELD)) do
  if not wanted[key] then answer[#answer + 1] = key end
end
call('DEL', HELD)
for i = 4, #ARGV, 2 do call('HSET', HELD, ARGV[i], ARGV[i + 1]) end
return answer
