#include "cli/render.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "cli/appliance_text.h"
#include "cli/json_text.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

json::value status() {
  return json::parse(R"({"device": {"hostname": "edge-1", "version": "0.1.0",
      "driver": {"driverVersion": "515.48.07", "cudaVersion": "11.7", "simulated": true}},
    "arbitration": "appliance", "kubernetes": {"enabled": true, "kubeletAttached": false, "gpus": [0], "claimable": []},
    "engine": {"available": true, "version": "podman 4.3.1", "message": ""},
    "gpus": [
     {"index": 0, "uuid": "GPU-0", "pciAddress": "0000:3b:00.0", "name": "Tesla T4", "memoryMiB": 15360,
      "owner": {"kind": "kubernetes", "name": ""}, "mode": "mps", "health": "ok", "healthReason": "",
      "simulated": true, "present": true, "mps": {"state": "running", "generation": 3, "message": ""},
      "berths": [{"id": 4, "gpuUuid": "GPU-0", "holder": {"kind": "container", "name": "cuda-sample1/0/c1"},
        "whole": false, "computePercent": 0, "threadPercentage": 20, "memoryMiB": 0, "computeRung": "mps-v2",
        "memoryRung": "none", "bestEffort": false}],
      "sample": {"utilizationPercent": 100, "memoryUsedMiB": 221, "memoryTotalMiB": 15360, "temperatureC": 60,
        "powerMilliwatts": 69000, "powerLimitMilliwatts": 70000, "computeMode": "exclusiveProcess"},
      "processes": [{"pid": 4242, "name": "/tmp/nbody", "memoryMiB": 109, "type": "M+C", "container": ""}]},
     {"index": 1, "uuid": "GPU-1", "pciAddress": "0000:5e:00.0", "name": "Tesla T4", "memoryMiB": 15360,
      "owner": {"kind": "vm", "name": "vm1"}, "mode": "exclusive", "health": "ok", "healthReason": "",
      "simulated": true, "present": true, "mps": {"state": "off", "generation": 0, "message": ""},
      "berths": [{"id": 5, "gpuUuid": "GPU-1", "holder": {"kind": "reservation", "name": "vm1"}, "whole": true,
        "computePercent": 0, "threadPercentage": 0, "memoryMiB": 0, "computeRung": "none", "memoryRung": "none",
        "bestEffort": false}],
      "sample": null, "processes": []}],
    "workloads": [{"name": "cuda-sample1", "kind": "Job", "namespace": "default", "state": "running",
      "source": "pods.yaml", "message": "", "created": "2026-01-02T03:04:05.678Z", "containers": [
       {"name": "cuda-sample1/0/c1", "state": "running", "exitCode": null, "restarts": 0, "gpu": 0, "mode": "mps",
        "engineId": "x", "message": "", "started": "2026-01-02T03:04:06.000Z", "finished": null}]}],
    "reservations": [{"name": "vm1", "gpus": 1, "gpuIndices": [1], "created": "2026-01-02T03:04:05.678Z"}]})");
}

TEST(RenderTest, StatusNamesOwnersHoldersWorkloadsAndReservations) {
  EXPECT_EQ(renderStatus(status(), {}),
            "edge-1  berth 0.1.0  driver 515.48.07 (simulated)  CUDA 11.7\n"
            "arbitration appliance  kubernetes on  podman 4.3.1\n"
            "\n"
            "GPU  NAME      OWNER       MODE       HEALTH    USE         MEMORY\n"
            "  0  Tesla T4  kubernetes  mps        ok      100 %  221/15360 MiB\n"
            "     container cuda-sample1/0/c1: 20 % threads (mps-v2)\n"
            "  1  Tesla T4  vm vm1      exclusive  ok          -      15360 MiB\n"
            "     reservation vm1: whole\n"
            "\n"
            "WORKLOAD      KIND  STATE    RUNNING  GPU  SOURCE     MESSAGE\n"
            "cuda-sample1  Job   running      1/1  0    pods.yaml  -\n"
            "\n"
            "RESERVATION  GPUS  HOLDS GPU  CREATED\n"
            "vm1             1  1          2026-01-02 03:04:05\n");
}

TEST(RenderTest, AnEmptyOrForeignAnswerIsShownWithoutFailing) {
  for (const char* text : {"{}", "[]", "null", "3", R"([{"index": {}}])"}) {
    for (int verb = 0; verb <= static_cast<int>(Verb::HcsNvidiaSmi); ++verb) {
      EXPECT_NO_THROW(static_cast<void>(renderAnswer(static_cast<Verb>(verb), json::parse(text), {})))
          << text << " " << verb;
    }
  }
}

TEST(RenderTest, ControlCharactersNeverReachTheTerminal) {
  const json::value list = json::parse(R"([{"name": "a\u001b[2Jb\n", "message": "\u007f"}])");
  const std::string text = renderAnswer(Verb::WorkloadList, list, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x7f'), std::string::npos);
}

TEST(RenderTest, ANarrowTerminalIsNotOverrun) {
  const json::value list =
      json::parse(R"([{"name": "w", "kind": "Job", "state": "failed", "source": "pods.yaml",
      "message": "a very long message that goes on and on for longer than any terminal is wide, really"}])");
  const std::string text = renderAnswer(Verb::WorkloadList, list, {80, false});
  for (std::size_t start = 0; start < text.size(); start = text.find('\n', start) + 1) {
    EXPECT_LE(text.find('\n', start) - start, 80U) << text;
  }
}

TEST(RenderTest, JsonAndYamlKeepEveryValueApart) {
  const json::value value = json::parse(
      R"({"a": "on", "n": "12", "s": "x: y", "e": [], "o": {}, "l": [1, null, true], "p": "mps-v2"})");
  EXPECT_EQ(json::parse(prettyJson(value)), value);
  EXPECT_EQ(yamlText(value),
            "a: \"on\"\nn: \"12\"\ns: \"x: y\"\ne: []\no: {}\nl:\n  - 1\n  - ~\n  - true\np: mps-v2\n");
}

TEST(ApplianceTextTest, EveryLineOfTheSmiTableIs79Wide) {
  const std::string text = nvidiaSmiText(status(), "Fri Jan  2 03:04:05 2026");
  EXPECT_EQ(text.rfind("edge-1\n\nFri Jan", 0), 0U);
  for (std::size_t start = text.find('+'); start < text.size(); start = text.find('\n', start) + 1) {
    const std::string line = text.substr(start, text.find('\n', start) - start);
    if (!line.empty()) {
      EXPECT_EQ(line.size(), 79U) << line;
    }
  }
  EXPECT_NE(text.find("00000000:3B:00.0"), std::string::npos);
  EXPECT_NE(text.find("E. Process"), std::string::npos);
  EXPECT_NE(text.find("4242    M+C   /tmp/nbody"), std::string::npos) << text;
}

TEST(ApplianceTextTest, A16StartPrintsWhatTheAppliancePrints) {
  const json::value mps = json::parse(R"([{"gpu": 0, "pciAddress": "0000:3b:00.0", "state": "running"},
                                          {"gpu": 1, "pciAddress": "0000:5e:00.0", "state": "off"}])");
  EXPECT_EQ(startMpsText("edge-1", mps),
            "edge-1\nSet compute mode to EXCLUSIVE_PROCESS for GPU 00000000:3B:00.0.\nAll done.\n"
            "Created nvidia-mps.service.\n");
  EXPECT_EQ(stopMpsText("edge-1", mps),
            "edge-1\nSet compute mode to DEFAULT for GPU 00000000:5E:00.0.\nAll done.\n"
            "Removed nvidia-mps.service.\n");
}

}  // namespace
}  // namespace berth::cli
