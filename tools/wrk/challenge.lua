-- The challenge's traffic for wrk: event i is of user i % 75,000 and has the value i % 1,000.
--
--   wrk -t1 -c64 -d10s -s tools/wrk/challenge.lua http://127.0.0.1:8080
--
-- wrk stops by time and leaves out what is then in flight, so it measures a rate; that every event
-- is counted is for the challenge client to check. `-- 16` at the end sends 16 at a time.

local users = 75000
local events = 75000 -- A multiple of 1,000, so that the values repeat evenly too.

local requests = {}
local next_request = 0
local batch = 1

-- All requests are made beforehand: formatting them would be what is measured.
function init(arguments)
  batch = math.max(1, tonumber(arguments[1] or "1"))
  for event = 0, events - 1 do
    local body = string.format('{"userId":"user_%d","value":%d}', event % users, event % 1000)
    requests[event] = wrk.format("POST", "/event", { ["Content-Type"] = "application/json" }, body)
  end
  if batch > 1 then
    -- Where the batch does not divide the events, the last few are left out.
    local batches = {}
    for first = 0, events - batch, batch do
      batches[#batches + 1] = table.concat(requests, "", first, first + batch - 1)
    end
    requests = batches
    next_request = 1
    events = #batches + 1
  end
end

function request()
  local text = requests[next_request]
  next_request = next_request + 1
  if next_request >= events then
    next_request = batch > 1 and 1 or 0
  end
  return text
end
