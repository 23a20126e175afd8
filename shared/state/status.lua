-- What the status of an object needs. ARGV: kind, id.
-- Returns {versions of the cached kinds and of the facts, body or '', status or '', rows of its hosts (flat host, JSON)}.
local body = call('HGET', P .. 'mirror:' .. ARGV[1], ARGV[2]) or ''
local rows, seen = {}, {}
if body ~= '' then
  for _, rule in ipairs(cjson.decode(body).rules) do
    local host = rule.host
    if host == '' then host = string.gsub(ARGV[2], '^(.*)/(.*)$', '%2.%1.') .. domain() end
    local row = not seen[host] and call('HGET', ROWS, host)
    seen[host] = true
    if row then
      rows[#rows + 1] = host
      rows[#rows + 1] = row
    end
  end
end
return {
  call('HGET', P .. 'versions', 'Namespace') or '0',
  call('HGET', P .. 'versions', 'IngressClass') or '0',
  call('HGET', META, 'facts_digest') or '',
  body,
  call('HGET', P .. 'status:' .. ARGV[1], ARGV[2]) or '',
  rows,
}
