-- What stands of some owners, of the types on which what others list depends. ARGV: owner key...
local COUNTS = { pool = true, poolgroup = true, vsvip = true, virtualservice = true, sslkeyandcertificate = true }
local answer = {}
for i = 1, #ARGV do
  for _, id in ipairs(call('HKEYS', P .. 'ledger:' .. ARGV[i])) do
    local type = string.match(id, '^[^/]+')
    if COUNTS[type] and call('SISMEMBER', STANDS, id) == 1 then answer[#answer + 1] = id end
  end
end
return answer
