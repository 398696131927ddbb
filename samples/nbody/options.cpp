#include "options.h"

#include <string_view>

#include "../common/numbers.h"

namespace berth::samples {
namespace {

bool readFlag(std::string_view name, NbodyOptions& options) {
  if (name == "help" || name == "h") {
    options.help = true;
  } else if (name == "benchmark") {
    options.benchmark = true;
  } else if (name == "compare") {
    options.compare = true;
  } else {
    return false;
  }
  return true;
}

bool readValue(std::string_view name, std::string_view value, NbodyOptions& options) {
  if (name == "i") return readNumber(value, 1U, kMaxIterations, options.iterations);
  if (name == "numbodies") return readNumber(value, 1U, kMaxBodies, options.bodies);
  if (name == "device") return readNumber(value, 0, 1023, options.device);
  return false;
}

}  // namespace

const char* const kNbodyUsage =
    "Usage: nbody [OPTION]...\n"
    "An all-pairs n-body simulation on a GPU, through the CUDA driver's API.\n"
    "\n"
    "  -benchmark      run the simulation and report the time it took\n"
    "  -compare        run it on the GPU and on the CPU and compare the results\n"
    "  -i=N            number of iterations (10)\n"
    "  -numbodies=N    number of bodies (1024 for each SM; 1024 with -compare)\n"
    "  -device=N       which CUDA device (0)\n"
    "  -help           this text\n";

NbodyOptions parseOptions(const std::vector<std::string>& arguments) {
  NbodyOptions options;
  for (const std::string& argument : arguments) {
    std::string_view text = argument;
    const std::size_t dashes = text.substr(0, 2) == "--" ? 2 : 1;
    const bool dashed = text.substr(0, 1) == "-";
    text.remove_prefix(dashed ? dashes : 0);
    const std::size_t equals = text.find('=');
    const bool good = dashed && (equals == std::string_view::npos
                                     ? readFlag(text, options)
                                     : readValue(text.substr(0, equals), text.substr(equals + 1), options));
    if (good) continue;
    options.error = "wrong option: " + argument;
    return options;
  }
  return options;
}

}  // namespace berth::samples
