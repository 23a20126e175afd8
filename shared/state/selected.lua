-- The Pods that Services select. ARGV[1]: JSON {service id: [index ref of each pair of its selector]}.
-- Returns flat service id, {JSON of each Pod that stands under all of them}.
local answer = {}
for id, refs in pairs(cjson.decode(ARGV[1])) do
  local sets, pods = {}, {}
  for _, ref in ipairs(refs) do sets[#sets + 1] = P .. 'ix:' .. ref end
  for _, member in ipairs(call('SINTER', unpack(sets))) do
    local pod = call('HGET', P .. 'mirror:Pod', string.match(member, ' Pod/(.+)$'))
    if pod then pods[#pods + 1] = pod end
  end
  answer[#answer + 1] = id
  answer[#answer + 1] = pods
end
return answer
