-- A watcher becomes the leader. ARGV: a fresh incarnation id, the settings digest, '1' when a census need hold nothing
-- back, the watcher's name.
-- Returns {epoch, incarnation, run id, mirror complete, ledger complete}.
local run = server_run()
local meta = call('HMGET', META, 'incarnation', 'run_id', 'digest')
if not meta[1] or meta[2] ~= run then
  call('HSET', META, 'incarnation', ARGV[1], 'run_id', run, 'mirror_complete', '0', 'ledger_complete', '0')
  call('DEL', LEAVING)
  -- A census of the Redis that was can conclude nothing any more. It writes nothing, so the next need not wait for its lease.
  if call('ZREM', CLAIMS, 'resync') == 1 then
    call('HDEL', CLAIM, 'resync')
    enter('resync', '0', now_us())
  end
end
-- Other settings may watch other kinds and keep more of an object: the mirror is complete when all is listed anew.
if meta[3] ~= ARGV[2] then call('HSET', META, 'digest', ARGV[2], 'mirror_complete', '0', 'ledger_complete', '0') end
call('HSET', META, 'allow_mass_delete', ARGV[3], 'leader', ARGV[4], 'leads_since', now_us())
local epoch = call('HINCRBY', META, 'epoch', 1)
local now = call('HMGET', META, 'incarnation', 'run_id', 'mirror_complete', 'ledger_complete')
return { epoch, now[1], now[2], now[3], now[4] }
