-- What a set of hosts refers to. ARGV: JSON {services: [ns/name], secrets: [ns/name]}.
-- Returns {services (flat id, JSON), slices (flat service id, {JSON}), secrets (flat id, JSON)}.
local wanted = cjson.decode(ARGV[1])
local services, slices, secrets = {}, {}, {}
for _, id in ipairs(wanted.services) do
  local body = call('HGET', P .. 'mirror:Service', id)
  if body then
    services[#services + 1] = id
    services[#services + 1] = body
  end
  local found = {}
  for _, member in ipairs(call('SMEMBERS', P .. 'ix:Slices/' .. id)) do
    local slice = call('HGET', P .. 'mirror:EndpointSlice', string.match(member, ' EndpointSlice/(.+)$'))
    if slice then found[#found + 1] = slice end
  end
  slices[#slices + 1] = id
  slices[#slices + 1] = found
end
for _, id in ipairs(wanted.secrets) do
  local body = call('HGET', P .. 'mirror:Secret', id)
  if body then
    secrets[#secrets + 1] = id
    secrets[#secrets + 1] = body
  end
end
return { services, slices, secrets }
