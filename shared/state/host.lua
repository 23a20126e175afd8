-- First look at a host. ARGV[1]: the fqdn.
-- Returns {versions of the cached kinds and of the facts, ids of its objects and of the shared certificates that stand, Ingress bodies...}.
local ids, seen = {}, {}
for _, member in ipairs(naming(ARGV[1])) do
  local id = string.match(member, ' Ingress/(.+)$')
  if not seen[id] then ids[#ids + 1] = id end
  seen[id] = true
end
local answer = { call('HGET', P .. 'versions', 'Namespace') or '0', call('HGET', P .. 'versions', 'IngressClass') or '0', call('HGET', META, 'facts_digest') or '', {} }
for _, owner in ipairs({ 'host:' .. ARGV[1], 'certificate:default' }) do
  for _, id in ipairs(call('HKEYS', P .. 'ledger:' .. owner)) do
    if call('SISMEMBER', STANDS, id) == 1 then table.insert(answer[4], id) end
  end
end
if #ids > 0 then
  for _, body in ipairs(call('HMGET', P .. 'mirror:Ingress', unpack(ids))) do
    if body then answer[#answer + 1] = body end
  end
end
return answer
