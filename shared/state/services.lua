-- What the Services of a key need. ARGV[1]: the key; then refs whose members are its Services.
-- Returns {versions of the cached kinds and of the facts, Services of the key (flat id, JSON), slices (flat Service id,
-- {JSON}), vsvips in its ledger (flat id, JSON), digest of the settings under which VIPs may lose addresses}.
local services, slices, vsvips, seen = {}, {}, {}, {}
for i = 2, #ARGV do
  for _, member in ipairs(call('SMEMBERS', P .. 'ix:' .. ARGV[i])) do
    local key, id = string.match(member, '^(%S+) Service/(.+)$')
    local body = key == ARGV[1] and not seen[id] and call('HGET', P .. 'mirror:Service', id)
    if body then
      seen[id] = true
      services[#services + 1] = id
      services[#services + 1] = body
      local found = {}
      for _, slice in ipairs(call('SMEMBERS', P .. 'ix:Slices/' .. id)) do
        local text = call('HGET', P .. 'mirror:EndpointSlice', string.match(slice, ' EndpointSlice/(.+)$'))
        if text then found[#found + 1] = text end
      end
      slices[#slices + 1] = id
      slices[#slices + 1] = found
    end
  end
end
local ledger = call('HGETALL', P .. 'ledger:' .. ARGV[1])
for i = 1, #ledger, 2 do
  if string.sub(ledger[i], 1, 6) == 'vsvip/' then
    vsvips[#vsvips + 1] = ledger[i]
    vsvips[#vsvips + 1] = ledger[i + 1]
  end
end
return {
  call('HGET', P .. 'versions', 'Namespace') or '0',
  call('HGET', P .. 'versions', 'IngressClass') or '0',
  call('HGET', META, 'facts_digest') or '',
  services,
  slices,
  vsvips,
  call('GET', P .. 'vip_change') or '',
}
