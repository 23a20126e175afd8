-- What stands of some owners, of the types pool, vsvip, virtualservice and sslkeyandcertificate. ARGV: owner key...
local answer = {}
for i = 1, #ARGV do
  for _, id in ipairs(call('HKEYS', P .. 'ledger:' .. ARGV[i])) do
    local type = string.match(id, '^[^/]+')
    if (type == 'pool' or type == 'vsvip' or type == 'virtualservice' or type == 'sslkeyandcertificate') and call('SISMEMBER', STANDS, id) == 1 then answer[#answer + 1] = id end
  end
end
return answer
