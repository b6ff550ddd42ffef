-- Ask TARGET_PATH each time with another of the Authorization headers in the file TOKENS
-- (one a line), and print the run as one line of JSON, the last that wrk prints.

require("summary")

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  -- Each thread has a Lua of its own, and all would draw the same numbers.
  math.randomseed(os.time() * 1000 + number)
  requests = {}
  -- Written out beforehand: in `request` it would slow the client, which shares the machine.
  for header in io.lines(os.getenv("TOKENS")) do
    wrk.headers["Authorization"] = header
    table.insert(requests, wrk.format("GET", os.getenv("TARGET_PATH")))
  end
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  -- Counted by wrk itself, 400 and above: a `response` of ours would slow the client.
  print_summary(summary, latency, summary.errors.status)
end
