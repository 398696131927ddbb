#include "report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace berth::samples {
namespace {

std::string print(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string number(double value) { return print("%.6g", std::isfinite(value) ? value : 0); }

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", code);
      out += escape.data();
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// Collects "key": value pairs.
class Json {
 public:
  Json& add(const char* key, const std::string& value) {
    text_ += text_.empty() ? "{" : ", ";
    text_ += quoted(key) + ": " + value;
    return *this;
  }
  std::string done() const { return text_ + "}"; }

 private:
  std::string text_;
};

std::vector<std::uint64_t> countIntervals(const LoadOptions& options, double wall_s,
                                          const std::vector<Request>& requests) {
  if (options.interval_ms <= 0) return {};
  const double length_s = options.interval_ms / 1e3;
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(std::ceil(wall_s / length_s)));
  for (const Request& request : requests) {
    const double place = request.done_s / length_s;
    if (place >= 0 && place < static_cast<double>(counts.size())) ++counts[static_cast<std::size_t>(place)];
  }
  return counts;
}

std::string list(const std::vector<std::uint64_t>& values) {
  std::string text = "[";
  for (const std::uint64_t value : values) text += (text.size() > 1 ? ", " : "") + std::to_string(value);
  return text + "]";
}

}  // namespace

double percentile(const std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  const auto place = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(place, sorted.size() - 1)];
}

Summary summarise(const LoadOptions& options, const RunFacts& facts, const std::vector<Request>& requests) {
  std::vector<double> latencies;
  latencies.reserve(requests.size());
  Summary summary;
  for (const Request& request : requests) {
    latencies.push_back(request.latency_ms);
    summary.gpu_s += request.gpu_ms / 1e3;
  }
  std::ranges::sort(latencies);
  summary.requests = requests.size();
  const auto count = static_cast<double>(requests.size());
  if (facts.wall_s > 0) summary.throughput = count / facts.wall_s;
  summary.p50_ms = percentile(latencies, 50);
  summary.p90_ms = percentile(latencies, 90);
  summary.p99_ms = percentile(latencies, 99);
  if (!latencies.empty()) {
    summary.max_ms = latencies.back();
    summary.mean_ms = std::accumulate(latencies.begin(), latencies.end(), 0.0) / count;
  }
  summary.work_s = count * options.kernels * options.kernel_us / 1e6;
  summary.intervals = countIntervals(options, facts.wall_s, requests);
  return summary;
}

std::string asText(const LoadOptions& options, const RunFacts& facts, const Summary& summary) {
  std::string text = "load";
  if (!options.name.empty()) text += " " + options.name;
  text += ": " + facts.device + ", " + std::to_string(options.kernels) + " kernel(s) of " +
          print("%.0f", options.kernel_us) + " us on " + std::to_string(facts.sms) + " SMs, " +
          wordOf(options.launch) + ", " + wordOf(options.arrival) + " arrival, " +
          std::to_string(options.streams) + " stream(s), " + std::to_string(options.memory_mib) + " MiB\n";
  text += "requests    " + std::to_string(summary.requests) + " in " + print("%.3f", facts.wall_s) + " s, " +
          std::to_string(facts.late) + " still due at the end\n";
  text += "throughput  " + print("%.2f", summary.throughput) + " requests/s\n";
  text += "latency ms  p50 " + print("%.3f", summary.p50_ms) + "  p90 " + print("%.3f", summary.p90_ms) +
          "  p99 " + print("%.3f", summary.p99_ms) + "  max " + print("%.3f", summary.max_ms) + "\n";
  text += "gpu time    " + print("%.3f", summary.gpu_s) + " s on the GPU for " +
          print("%.3f", summary.work_s) + " s of work\n";
  return text;
}

std::string asJson(const LoadOptions& options, const RunFacts& facts, const Summary& summary) {
  const Json latency = Json()
                           .add("p50", number(summary.p50_ms))
                           .add("p90", number(summary.p90_ms))
                           .add("p99", number(summary.p99_ms))
                           .add("max", number(summary.max_ms))
                           .add("mean", number(summary.mean_ms));
  Json report;
  report.add("name", quoted(options.name))
      .add("device", quoted(facts.device))
      .add("arrival", quoted(wordOf(options.arrival)))
      .add("rate", number(options.rate))
      .add("launch", quoted(wordOf(options.launch)))
      .add("streams", std::to_string(options.streams))
      .add("kernels", std::to_string(options.kernels))
      .add("kernelUs", number(options.kernel_us))
      .add("sms", std::to_string(facts.sms))
      .add("iterations", std::to_string(facts.iterations))
      .add("memoryMiB", std::to_string(options.memory_mib))
      .add("seed", std::to_string(options.seed))
      .add("wallSeconds", number(facts.wall_s))
      .add("requests", std::to_string(summary.requests))
      .add("stillDue", std::to_string(facts.late))
      .add("throughput", number(summary.throughput))
      .add("latencyMs", latency.done())
      .add("gpuSeconds", number(summary.gpu_s))
      .add("workSeconds", number(summary.work_s));
  if (options.interval_ms > 0) {
    report.add("intervalMs", number(options.interval_ms)).add("intervals", list(summary.intervals));
  }
  return report.done();
}

}  // namespace berth::samples
