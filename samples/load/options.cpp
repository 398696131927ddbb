#include "options.h"

#include <string_view>

#include "../common/numbers.h"

namespace berth::samples {
namespace {

constexpr double kDay = 86400;
constexpr double kMaxRate = 1e6;
constexpr std::uint32_t kMaxStreams = 64;
constexpr std::uint32_t kMaxKernels = 10'000;
constexpr double kMaxKernelUs = 60e6;
constexpr std::uint32_t kMaxSms = 1024;
constexpr std::uint32_t kMaxIterations = 4'000'000'000;
constexpr std::uint64_t kMaxMemoryMib = 1ULL << 20;

bool readArrival(std::string_view text, Arrival& arrival) {
  for (const Arrival candidate : {Arrival::Closed, Arrival::Fixed, Arrival::Poisson}) {
    if (text != wordOf(candidate)) continue;
    arrival = candidate;
    return true;
  }
  return false;
}

bool readLaunch(std::string_view text, Launch& launch) {
  for (const Launch candidate : {Launch::Plain, Launch::Graph, Launch::Cooperative}) {
    if (text != wordOf(candidate)) continue;
    launch = candidate;
    return true;
  }
  return false;
}

bool readFlag(std::string_view name, LoadOptions& options) {
  if (name == "help") {
    options.help = true;
  } else if (name == "json") {
    options.json = true;
  } else {
    return false;
  }
  return true;
}

bool readTimes(std::string_view name, std::string_view value, LoadOptions& options) {
  if (name == "duration") return readNumber(value, 1e-3, kDay, options.duration_s);
  if (name == "warmup") return readNumber(value, 0.0, kDay, options.warmup_s);
  if (name == "rate") return readNumber(value, 1e-6, kMaxRate, options.rate);
  if (name == "on") return readNumber(value, 0.0, kDay * 1e3, options.on_ms);
  if (name == "off") return readNumber(value, 0.0, kDay * 1e3, options.off_ms);
  if (name == "kernel-us") return readNumber(value, 1.0, kMaxKernelUs, options.kernel_us);
  if (name == "interval") return readNumber(value, 1.0, kDay * 1e3, options.interval_ms);
  return false;
}

bool readValue(std::string_view name, std::string_view value, LoadOptions& options) {
  if (name == "device") return readNumber(value, 0, 1023, options.device);
  if (name == "arrival") return readArrival(value, options.arrival);
  if (name == "requests") return readNumber(value, std::uint64_t{1}, ~std::uint64_t{0}, options.requests);
  if (name == "streams") return readNumber(value, 1U, kMaxStreams, options.streams);
  if (name == "launch") return readLaunch(value, options.launch);
  if (name == "kernels") return readNumber(value, 1U, kMaxKernels, options.kernels);
  if (name == "sms") return readNumber(value, 0U, kMaxSms, options.sms);
  if (name == "iterations") return readNumber(value, 1U, kMaxIterations, options.iterations);
  if (name == "memory") return readNumber(value, std::uint64_t{0}, kMaxMemoryMib, options.memory_mib);
  if (name == "seed") return readNumber(value, std::uint64_t{0}, ~std::uint64_t{0}, options.seed);
  if (name == "name") options.name = value;
  return name == "name" || readTimes(name, value, options);
}

/// Options that are right one by one and wrong together.
std::string contradiction(const LoadOptions& options) {
  const bool closed = options.arrival == Arrival::Closed;
  if (!closed && options.rate == 0) return "--arrival=fixed and --arrival=poisson need --rate";
  if (closed && options.rate != 0) return "--rate needs --arrival=fixed or --arrival=poisson";
  if (options.off_ms > 0 && options.on_ms == 0) return "--off needs --on";
  return {};
}

}  // namespace

const char* const kLoadUsage =
    "Usage: load [OPTION]...\n"
    "Puts load on a GPU through the CUDA driver's API and reports throughput and latency.\n"
    "\n"
    "When requests come:\n"
    "  --arrival=closed|fixed|poisson  after the last is done (closed, the default), or at a rate\n"
    "  --rate=N          requests a second, of all streams together (fixed, poisson)\n"
    "  --on=MS --off=MS  bursts: requests for MS, then none for MS\n"
    "  --streams=N       streams with one request in work each (1)\n"
    "  --duration=S      seconds of load (10); SIGTERM and SIGINT end it early, with a report\n"
    "  --requests=N      end after N requests, if that is sooner\n"
    "  --warmup=S        seconds of load before that which are not counted (0)\n"
    "  --seed=N          of the random arrivals (1)\n"
    "What a request does:\n"
    "  --kernels=N       kernels one after the other (1)\n"
    "  --kernel-us=US    duration of a kernel on the idle GPU (1000)\n"
    "  --sms=N           SMs that it fills (0: all)\n"
    "  --launch=plain|graph|cooperative  how it is launched (plain)\n"
    "  --iterations=N    of the kernel's loop, instead of measuring what --kernel-us takes\n"
    "  --memory=MIB      device memory held while it runs (0)\n"
    "The rest:\n"
    "  --device=N        which CUDA device (0)\n"
    "  --name=TEXT       to tell reports apart\n"
    "  --interval=MS     also count the requests of each interval\n"
    "  --json            report as one line of JSON\n"
    "  --help            this text\n";

LoadOptions parseLoadOptions(const std::vector<std::string>& arguments) {
  LoadOptions options;
  for (const std::string& argument : arguments) {
    std::string_view text = argument;
    const bool dashed = text.substr(0, 2) == "--";
    if (dashed) text.remove_prefix(2);
    const std::size_t equals = text.find('=');
    const bool good = dashed && (equals == std::string_view::npos
                                     ? readFlag(text, options)
                                     : readValue(text.substr(0, equals), text.substr(equals + 1), options));
    if (good) continue;
    options.error = "wrong option: " + argument;
    return options;
  }
  options.error = contradiction(options);
  return options;
}

const char* wordOf(Arrival arrival) {
  switch (arrival) {
    case Arrival::Closed:
      return "closed";
    case Arrival::Fixed:
      return "fixed";
    case Arrival::Poisson:
      return "poisson";
  }
  return "";
}

const char* wordOf(Launch launch) {
  switch (launch) {
    case Launch::Plain:
      return "plain";
    case Launch::Graph:
      return "graph";
    case Launch::Cooperative:
      return "cooperative";
  }
  return "";
}

}  // namespace berth::samples
