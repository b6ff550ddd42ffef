-- What the scripts beside this have in common. wrk runs in this directory, so they find it.

-- Print a run as one line of JSON, the last that wrk prints.
function print_summary(summary, latency, refused)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, '
      .. '"refused": %d, "socket_errors": %d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    refused, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
