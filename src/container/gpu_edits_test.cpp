#include "container/gpu_edits.h"

#include <algorithm>

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

namespace berth::container {
namespace {

namespace json = boost::json;

const std::string kTripletFolder = "/usr/lib/" + std::string(architectureTriplet());

DriverFiles simulatedFiles() { return {true, {{"/sim/lib/libcuda.so.1", "libcuda.so.1"}}, {}, {}}; }
DriverFiles realFiles() {
  return {false,
          {{"/usr/lib/libcuda.so.535", "libcuda.so.1"}},
          {{"/usr/bin/nvidia-smi", "nvidia-smi"}},
          {"/dev/nvidiactl", "/dev/nvidia-uvm"}};
}
GpuInContainer gpu(int number) {
  return {GpuUuid("GPU-" + std::to_string(number)), number, "/run/berth-sim/gpu" + std::to_string(number)};
}
GpuEditRequest request(std::vector<GpuInContainer> gpus) { return {std::move(gpus), std::nullopt, false}; }
GpuEditRequest mpsRequest() {
  GpuEditRequest made = request({gpu(0)});
  made.mps = MpsClient{"/run/berth/mps/0-3/pipe", "/run/berth/mps/0-3/shm", Percent{20}, MiB{4096}};
  return made;
}

std::string variable(const std::vector<std::pair<std::string, std::string>>& env, std::string_view name) {
  const auto found = std::find_if(env.begin(), env.end(), [&](const auto& v) { return v.first == name; });
  return found == env.end() ? "(unset)" : found->second;
}
bool binds(const GpuEdits& edits, const Bind& bind) {
  return std::find(edits.binds.begin(), edits.binds.end(), bind) != edits.binds.end();
}

TEST(GpuEditsTest, ASimulatedGpuIsItsLibrariesAndItsStateFile) {
  const auto edits = gpuEdits(simulatedFiles(), request({gpu(1)}));
  ASSERT_TRUE(edits) << edits.error().message;
  const GpuEdits expected{{{"/sim/lib/libcuda.so.1", kTripletFolder + "/libcuda.so.1", true},
                           {"/sim/lib/libcuda.so.1", "/usr/lib64/libcuda.so.1", true},
                           {"/run/berth-sim/gpu1", "/run/berth-sim/gpu1", false}},
                          {},
                          {{"NVIDIA_VISIBLE_DEVICES", "GPU-1"}, {"BERTH_SIM_DIR", "/run/berth-sim"}}};
  EXPECT_EQ(*edits, expected);
}

TEST(GpuEditsTest, ARealGpuIsItsOwnDeviceNodeAndTheControlNodes) {
  const auto edits = gpuEdits(realFiles(), request({gpu(3)}));
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_EQ(edits->devices, (std::vector<std::string>{"/dev/nvidia3", "/dev/nvidiactl", "/dev/nvidia-uvm"}));
  EXPECT_TRUE(binds(*edits, {"/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi", true}));
  EXPECT_EQ(variable(edits->env, "BERTH_SIM_DIR"), "(unset)");
}

TEST(GpuEditsTest, A12SeveralWholeGpusAreAllThere) {
  const auto real = gpuEdits(realFiles(), request({gpu(0), gpu(1)}));
  ASSERT_TRUE(real);
  EXPECT_EQ(variable(real->env, "NVIDIA_VISIBLE_DEVICES"), "GPU-0,GPU-1");
  EXPECT_EQ(real->devices[1], "/dev/nvidia1");
  const auto simulated = gpuEdits(simulatedFiles(), request({gpu(0), gpu(1)}));
  ASSERT_TRUE(simulated);
  EXPECT_TRUE(binds(*simulated, {"/run/berth-sim/gpu1", "/run/berth-sim/gpu1", false}));
}

TEST(GpuEditsTest, A11AnMpsClientGetsThePipeTheShareAndTheLimit) {
  const auto edits = gpuEdits(simulatedFiles(), mpsRequest());
  ASSERT_TRUE(edits);
  EXPECT_EQ(variable(edits->env, "CUDA_MPS_PIPE_DIRECTORY"), "/run/berth/mps/0-3/pipe");
  EXPECT_EQ(variable(edits->env, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), "20");
  EXPECT_EQ(variable(edits->env, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"), "0=4096M");
  EXPECT_TRUE(binds(*edits, {"/run/berth/mps/0-3/pipe", "/run/berth/mps/0-3/pipe", false}));
  EXPECT_TRUE(binds(*edits, {"/run/berth/mps/0-3/shm", "/dev/shm", false}));
}

TEST(GpuEditsTest, B14AContainerWithLimitsGetsTheGuardAndNoVariableOfIt) {
  GpuEditRequest limited = request({gpu(0)});
  const std::size_t variables = gpuEdits(simulatedFiles(), limited)->env.size();
  limited.guard = GuardInContainer{"/opt/libberth-guard-1.so", "/run/g/ld.so.preload", "/run/g/c/limits",
                                   "/run/g/c/usage"};
  const auto edits = gpuEdits(simulatedFiles(), limited);
  ASSERT_TRUE(edits) << edits.error().message;
  EXPECT_TRUE(binds(*edits, {"/opt/libberth-guard-1.so", "/usr/lib/berth/libberth-guard-1.so", true}));
  EXPECT_TRUE(binds(*edits, {"/run/g/ld.so.preload", "/etc/ld.so.preload", true}));
  EXPECT_TRUE(binds(*edits, {"/run/g/c/limits", "/run/berth/guard/limits", true}));
  EXPECT_TRUE(binds(*edits, {"/run/g/c/usage", "/run/berth/guard/usage", false}));
  EXPECT_EQ(edits->env.size(), variables) << "env -i must not lift a limit";
}

TEST(GpuEditsTest, AContainerThatMountsItsOwnPreloadFileIsRefusedWhenItHasLimits) {
  GpuEditRequest limited = request({gpu(0)});
  limited.guard = GuardInContainer{"/opt/g.so", "/run/g/ld.so.preload", "/run/g/c/limits", "/run/g/c/usage"};
  ContainerConfig config;
  config.binds.push_back({"/home/me/preload", "/etc/ld.so.preload", true});
  const auto applied = applyEdits(*gpuEdits(simulatedFiles(), limited), config);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(applied.error().message.find("/home/me/preload"), std::string::npos);
}

TEST(GpuEditsTest, WithTheHostsIpcSharedMemoryIsThereAlready) {
  GpuEditRequest shared = mpsRequest();
  shared.host_ipc = true;
  const auto edits = gpuEdits(simulatedFiles(), shared);
  ASSERT_TRUE(edits);
  EXPECT_FALSE(binds(*edits, {"/run/berth/mps/0-3/shm", "/dev/shm", false}));
}

TEST(GpuEditsTest, UnstatedMpsLimitsSetNothing) {
  GpuEditRequest unlimited = mpsRequest();
  unlimited.mps->thread_percentage = {};
  unlimited.mps->pinned_memory = {};
  const auto edits = gpuEdits(simulatedFiles(), unlimited);
  ASSERT_TRUE(edits);
  EXPECT_EQ(variable(edits->env, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), "(unset)");
  EXPECT_EQ(variable(edits->env, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"), "(unset)");
}

TEST(GpuEditsTest, WhatCannotBeDescribedIsRefused) {
  GpuEditRequest two_under_mps = mpsRequest();
  two_under_mps.gpus.push_back(gpu(1));
  GpuInContainer relative = gpu(0);
  relative.state_file = "gpu0";
  GpuInContainer elsewhere = gpu(1);
  elsewhere.state_file = "/other/gpu1";
  for (const auto& bad : {request({}), two_under_mps, request({relative}), request({gpu(0), elsewhere})}) {
    const auto edits = gpuEdits(simulatedFiles(), bad);
    ASSERT_FALSE(edits);
    EXPECT_EQ(edits.error().code, ErrorCode::InvalidArgument);
  }
}

TEST(ApplyEditsTest, TheEditsWinOverTheContainersOwnVariables) {
  ContainerConfig config;
  config.env = {{"NVIDIA_VISIBLE_DEVICES", "0"}, {"MINE", "1"}};
  config.devices = {"/dev/nvidiactl"};
  const auto edits = gpuEdits(realFiles(), request({gpu(0)}));
  ASSERT_TRUE(applyEdits(*edits, config));
  EXPECT_EQ(config.env, (std::vector<std::pair<std::string, std::string>>{
                            {"MINE", "1"}, {"NVIDIA_VISIBLE_DEVICES", "GPU-0"}}));
  EXPECT_EQ(config.devices, (std::vector<std::string>{"/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm"}));
  EXPECT_EQ(config.binds, edits->binds);
}

TEST(ApplyEditsTest, AMountOfTheContainersOwnOverADriverFileIsRefused) {
  ContainerConfig config;
  config.binds = {{"/evil/libcuda.so.1", kTripletFolder + "/libcuda.so.1"}};
  const auto edits = gpuEdits(simulatedFiles(), request({gpu(0)}));
  const ContainerConfig before = config;
  const auto applied = applyEdits(*edits, config);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(config.binds, before.binds);
}

TEST(CdiSpecTest, TheSpecificationIsWhatTheSchemaAsksFor) {
  const GpuEdits edits{{{"/h/a", "/c/a", true}, {"/h/b", "/c/b", false}}, {"/dev/nvidia0"}, {{"A", "b"}}};
  const auto spec = cdiSpec({{"b12", edits}});
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(json::parse(*spec), json::parse(R"({"cdiVersion":"0.5.0","kind":"berth.dev/gpu","devices":[
    {"name":"b12","containerEdits":{"env":["A=b"],"deviceNodes":[{"path":"/dev/nvidia0"}],"mounts":[
      {"hostPath":"/h/a","containerPath":"/c/a","options":["ro","nosuid","nodev","bind"]},
      {"hostPath":"/h/b","containerPath":"/c/b","options":["rw","nosuid","nodev","bind"]}]}}]})"));
}

TEST(CdiSpecTest, NamesFollowTheSpecification) {
  const GpuEdits edits{{}, {}, {{"A", "b"}}};
  for (const char* good : {"b1", "1", "a_b-c.d:e"}) EXPECT_TRUE(cdiSpec({{good, edits}})) << good;
  for (const char* bad : {"", "-b", "b-", "a=b", "a b", "a/b"}) EXPECT_FALSE(cdiSpec({{bad, edits}})) << bad;
  EXPECT_FALSE(cdiSpec({{"b1", edits}, {"b1", edits}}));
  EXPECT_FALSE(cdiSpec({}));
}

TEST(MissingBindsTest, ABindIsThereWhenTheLastMountAtItsTargetIsOfItsKind) {
  const std::vector<MountPoint> mounts{
      {"/", "/", false}, {"/a", "/x", true}, {"/b", "/y", true}, {"/c", "/y", false}};
  EXPECT_TRUE(missingBinds(mounts, {{"/h", "/x", true}, {"/h", "/y", false}}).empty());
  const std::vector<Bind> wrong{{"/h", "/x", false}, {"/h", "/y", true}, {"/h", "/z", true}};
  EXPECT_EQ(missingBinds(mounts, wrong), wrong);
}

TEST(VerifyEditsTest, AMountOfThisProcessIsFoundAndAnInventedOneIsNot) {
  const GpuEdits proc{{{"/proc", "/proc", false}}, {"/dev/null"}, {}};
  const auto present = verifyEdits(::getpid(), proc);
  EXPECT_TRUE(present) << present.error().message;
  const GpuEdits invented{{{"/proc", "/nonexistent", false}}, {"/dev/nvidia99"}, {}};
  const auto missing = verifyEdits(::getpid(), invented);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().reason, "GpuEditsMissing");
  ASSERT_EQ(missing.error().details.size(), 2U);
  EXPECT_EQ(missing.error().details[0].target, "/nonexistent");
  EXPECT_EQ(missing.error().details[1].target, "/dev/nvidia99");
}

TEST(VerifyEditsTest, AMountOfSomethingElseIsNotTheBind) {
  const auto verified = verifyEdits(::getpid(), {{{"/etc", "/proc", false}}, {}, {}});
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().reason, "GpuEditsMissing");
}

TEST(VerifyEditsTest, AProcessThatIsGoneIsNotFound) {
  const auto verified = verifyEdits(std::int64_t{1} << 40, {});
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, ErrorCode::NotFound);
}

}  // namespace
}  // namespace berth::container
