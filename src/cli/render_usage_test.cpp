#include "cli/render_usage.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace berth::cli {
namespace {

namespace json = boost::json;

const char* const kRow = R"({"container": "w/0/c", "gpu": 0, "grantedPercent": 20, "grantedMiB": 4096,
    "computeRung": "guard", "memoryRung": "mps-v2", "gpuNs": 2500000000, "recentPermille": 198,
    "memoryBytes": 1073741824, "guard": {"throttledNs": 7000000000, "refusedAllocations": 3}})";

TEST(RenderUsageTest, AGpusTableEndsWithTheRemainderAndTheDevice) {
  const json::value usage = json::parse(std::string(R"({"gpu": 0, "containers": [)") + kRow + R"(],
      "remainder": {"gpuNs": -100000000, "recentPermille": -5, "memoryBytes": 0},
      "device": {"gpuNs": 2400000000, "recentPermille": 193, "memoryBytes": 1073741824}})");
  EXPECT_EQ(
      renderGpuUsage(usage, {}),
      "CONTAINER    GPU         SHARE    USED              LIMIT    MEMORY  GPU TIME  HELD BACK  REFUSED\n"
      "w/0/c          0  20 % (guard)  19.8 %  4096 MiB (mps-v2)  1024 MiB     2.5 s      7.0 s        3\n"
      "(remainder)    -             -  -0.5 %                  -     0 MiB    -0.1 s          -        -\n"
      "(device)       -             -  19.3 %                  -  1024 MiB     2.4 s          -        -\n");
}

TEST(RenderUsageTest, WithoutFiguresThereIsNoTable) {
  EXPECT_EQ(renderGpuUsage(json::value(nullptr), {}), "");
  EXPECT_EQ(renderWorkloadUsage(json::parse(R"({"containers": [{"name": "w/0/c", "usage": []}]})"), {}), "");
}

TEST(RenderUsageTest, AWorkloadsTableHasARowForEachContainer) {
  const json::value workload =
      json::parse(std::string(R"({"containers": [{"name": "w/0/c", "usage": [)") + kRow + "]}]}");
  EXPECT_NE(renderWorkloadUsage(workload, {}).find("w/0/c"), std::string::npos);
}

}  // namespace
}  // namespace berth::cli
