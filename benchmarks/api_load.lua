-- Requests of a file of paths, one at random each time, and a line of JSON about how they were answered.
-- Arguments: the file, the mean pause of a connection between two requests in milliseconds (0: none), If-None-Match.

local requests, pause = {}, 0

function init(arguments)
   local headers = {["Host"] = wrk.host .. ":" .. wrk.port}
   if arguments[3] then headers["If-None-Match"] = arguments[3] end
   for path in io.lines(arguments[1]) do
      requests[#requests + 1] = wrk.format("GET", path, headers)
   end
   pause = tonumber(arguments[2])
   math.randomseed(os.time())
   if pause > 0 then
      -- As of people who know nothing of each other: exponential, so that requests arrive as Poisson has it.
      function delay()
         return math.floor(-math.log(1 - math.random()) * pause + math.random())
      end
   end
end

function request()
   return requests[math.random(#requests)]
end

function done(summary, latency)
   local failed = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f, "max_ms": %f}\n',
      summary.requests, summary.duration / 1e6,
      failed.connect + failed.read + failed.write + failed.status + failed.timeout,
      latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000
   ))
end
