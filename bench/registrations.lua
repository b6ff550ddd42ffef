-- Register another account each time: POST the JSON in BODY to TARGET_PATH, with a new name for
-- each NAME in it, and print the run as one line of JSON, the last that wrk prints.
-- PREFIX begins the names; it must be another one in each run.

require("summary")

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
  thread:set("refused", 0)
end

function init()
  prefix = os.getenv("PREFIX") .. "t" .. number .. "n"
  path, body = os.getenv("TARGET_PATH"), os.getenv("BODY")
  headers = {["Content-Type"] = "application/json"}
  made = 0
end

function request()
  made = made + 1
  return wrk.format("POST", path, headers, (body:gsub("NAME", prefix .. made)))
end

function response(status)
  -- wrk itself counts 400 and above only.
  if status < 200 or status > 299 then
    refused = refused + 1
  end
end

function done(summary, latency)
  local refused = 0
  for _, thread in ipairs(threads) do
    refused = refused + thread:get("refused")
  end
  print_summary(summary, latency, refused)
end
