-- The leading watcher looks whether its epoch goes on, and so says that it is alive. ARGV: epoch, incarnation, run id.
-- Returns 1 while it goes on.
if server_run() ~= ARGV[3] then return 0 end
local meta = call('HMGET', META, 'epoch', 'incarnation')
if meta[1] ~= ARGV[1] or meta[2] ~= ARGV[2] then return 0 end
call('HSET', META, 'leader_seen', now_us())
return 1
