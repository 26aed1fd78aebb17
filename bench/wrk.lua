-- Sends a call over and over, each time with another {n}, {shelf} or {unknown}, and prints how
-- many were answered, and how many not with a 2xx.
local calls, sent = {}, 0

local function unknown(n) -- 60 KB of parameters
  local names = {}
  for i = 1, 6000 do
    names[i] = string.format("a%d_%d=", n, i)
  end
  return table.concat(names, "&"):sub(1, 60000)
end

function init(arguments)
  local method, path, body = unpack(arguments)
  local headers = body and { ["Content-Type"] = "application/json" }
  for n = 1, path:find("{unknown}") and 100 or 1000 do
    local values = { n = n, shelf = n % 17, unknown = path:find("{unknown}") and unknown(n) }
    local each_path, each_body = path:gsub("{(%a+)}", values)
    each_body = body and body:gsub("{(%a+)}", values)
    calls[n] = wrk.format(method, each_path, headers, each_body)
  end
end

function request()
  sent = sent % #calls + 1
  return calls[sent]
end

function done(summary)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  print(string.format("%d %d", summary.requests, failed))
end
