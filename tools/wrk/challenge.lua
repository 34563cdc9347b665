-- The challenge's traffic for wrk: event i is of user i % 75,000 and has the value i % 1,000.
--
--   wrk -t1 -c64 -d10s -s tools/wrk/challenge.lua http://127.0.0.1:8080
--
-- wrk stops by time and leaves out what is then in flight, so it measures a rate; that every event
-- is counted is for the challenge client to check. `-- 16` at the end sends 16 at a time.

local events = 75000 -- A multiple of 1,000, so that the values repeat evenly too.
local spread = 0.618 -- The golden section keeps any number of threads apart in the round of events.

local threads = 0

local requests = {}
local count = 0
local next_request = 0

-- Called once a thread, before it runs: each is told which one it is.
function setup(thread)
  thread:set("index", threads)
  threads = threads + 1
end

-- All requests are made beforehand: formatting them would be what is measured.
function init(arguments)
  local batch = tonumber(arguments[1] or "1")
  if not batch or batch < 1 or batch > 1000 or batch % 1 ~= 0 then
    error("requests at a time: a whole number from 1 to 1000, not " .. tostring(arguments[1]))
  end
  local singles = {}
  for event = 0, events - 1 do
    local body = string.format('{"userId":"user_%d","value":%d}', event, event % 1000)
    singles[event] = wrk.format("POST", "/event", { ["Content-Type"] = "application/json" }, body)
  end
  -- Where the batch does not divide the events, the last one goes on with the first ones.
  count = math.ceil(events / batch)
  for number = 0, count - 1 do
    local parts = {}
    for offset = 0, batch - 1 do
      parts[offset + 1] = singles[(number * batch + offset) % events]
    end
    requests[number] = table.concat(parts)
  end
  next_request = math.floor(index * spread * count) % count
end

function request()
  local text = requests[next_request]
  next_request = (next_request + 1) % count
  return text
end

-- The last line of output is for programs. A batch is one request to wrk until its answers come,
-- each of which it counts.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"errors":%d,"p50":%.0f,"p99":%.0f,"p999":%.0f}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
