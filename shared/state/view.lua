-- What a plan may know of the ledger. ARGV: the key, then ids of objects outside it.
-- Returns {own entries (flat id, JSON), referrers (flat id, {ids}), others (flat id, owner or '', '1' when it stands)}.
local own = call('HGETALL', P .. 'ledger:' .. ARGV[1])
local referrers, others = {}, {}
for i = 1, #own, 2 do
  local who = call('SMEMBERS', P .. 'referrers:' .. own[i])
  if #who > 0 then
    referrers[#referrers + 1] = own[i]
    referrers[#referrers + 1] = who
  end
end
for i = 2, #ARGV do
  others[#others + 1] = ARGV[i]
  others[#others + 1] = call('HGET', OWNER, ARGV[i]) or ''
  others[#others + 1] = call('SISMEMBER', STANDS, ARGV[i])
end
return { own, referrers, others }
