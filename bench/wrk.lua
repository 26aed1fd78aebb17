-- Sends one call over and over, to the notes 1 to 1,000 in turn, and prints what came of it.
local calls, sent = {}, 0

function init(arguments)
  local method, path, body = unpack(arguments)
  local headers = body and { ["Content-Type"] = "application/json" }
  for id = 1, 1000 do
    calls[id] = wrk.format(method, (path:gsub("{id}", id)), headers, body)
  end
end

function request()
  sent = sent % #calls + 1
  return calls[sent]
end

function done(summary, latency)
  local failed = summary.errors
  print(string.format(
    '{"seconds": %f, "answers": %d, "p50": %f, "p99": %f, "refused": %d, "broken": %d}',
    summary.duration / 1e6, summary.requests,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    failed.status, failed.connect + failed.read + failed.write + failed.timeout
  ))
end
