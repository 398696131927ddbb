#include "gpu/nvml/nvml_driver.h"

#include <filesystem>
#include <memory>
#include <string>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "gpu/nvml/nvml_library.h"
#include "gpu/nvml/testing/fake_nvml.h"

namespace berth::gpu {
namespace {

namespace fs = std::filesystem;
using nvml::FakeNvml;
using nvml::FakeNvmlGpu;

const fs::path kRoots = BERTH_TEST_DRIVER_ROOTS;
const GpuUuid kFirst("GPU-aaaaaaaa-0000-0000-0000-000000000001");
const GpuUuid kSecond("GPU-aaaaaaaa-0000-0000-0000-000000000002");

FakeNvmlGpu plugged(const GpuUuid& uuid, const char* bus_id) { return {uuid.value, bus_id}; }

/// Holds the fake library open, so that its state lives as long as the test.
class NvmlDriverTest : public testing::Test {
 protected:
  NvmlDriverTest()
      : handle_(::dlopen((kRoots / "fake_nvml/lib/libnvidia-ml.so.1").c_str(), RTLD_NOW | RTLD_LOCAL),
                &::dlclose) {
    nvml = reinterpret_cast<FakeNvml* (*)()>(::dlsym(handle_.get(), "fakeNvml"))();
    nvml->plugged.push_back(plugged(kSecond, "00000000:3B:00.0"));
    nvml->plugged.push_back(plugged(kFirst, "00000000:AF:00.0"));
  }
  ~NvmlDriverTest() override {
    driver.reset();
    EXPECT_EQ(nvml->initialised, 0) << "every nvmlInit has its nvmlShutdown";
    nvml->plugged.clear();
    nvml->gpus.clear();
    nvml->init_result = nvml::kSuccess;
    nvml->set_mode_result = nvml::kSuccess;
    nvml->events.clear();
  }
  FakeNvmlGpu& gpu(std::size_t index) { return nvml->gpus.at(index); }
  void setHang(bool hang) {
    {
      const std::scoped_lock lock(nvml->mutex);
      nvml->hang = hang;
    }
    nvml->changed.notify_all();
  }
  bool hanging() {
    const std::scoped_lock lock(nvml->mutex);
    return nvml->hanging;
  }

  FakeNvml* nvml = nullptr;
  std::unique_ptr<NvmlDriver> driver = std::make_unique<NvmlDriver>(kRoots / "fake_nvml", limits());

 private:
  static NvmlLimits limits() {
    NvmlLimits limits;
    limits.call = std::chrono::seconds(20);
    limits.event_interval = std::chrono::milliseconds(1);
    return limits;
  }
  std::unique_ptr<void, int (*)(void*)> handle_;
};

TEST_F(NvmlDriverTest, GpusAreListedByUuidWithOurSpellingOfTheAddress) {
  const auto gpus = driver->list();
  ASSERT_TRUE(gpus) << gpus.error().message;
  ASSERT_EQ(gpus->size(), 2U);
  EXPECT_EQ((*gpus)[0].uuid, kSecond);
  EXPECT_EQ((*gpus)[0].pci, PciAddress("0000:3b:00.0"));
  EXPECT_EQ((*gpus)[0].name, "Tesla T4");
  EXPECT_EQ((*gpus)[0].pci_device_id, 0x1eb810deU);
  EXPECT_EQ((*gpus)[0].memory_bytes, 16106127360);
}

TEST_F(NvmlDriverTest, TheDriverSaysItsVersionsAndIsNotSimulated) {
  const auto info = driver->info();
  ASSERT_TRUE(info);
  EXPECT_EQ(info->driver_version, "535.183.01");
  EXPECT_EQ(info->cuda_version, "12.2");
  EXPECT_FALSE(info->simulated);
}

TEST_F(NvmlDriverTest, ListSeesGpusThatCameAndWent) {
  ASSERT_EQ(driver->list().value().size(), 2U);
  nvml->plugged.pop_front();
  EXPECT_TRUE(driver->sample(kSecond)) << "NVML itself has not looked again";
  const auto gpus = driver->list();
  ASSERT_EQ(gpus.value().size(), 1U);
  EXPECT_EQ(gpus.value().front().uuid, kFirst);
  EXPECT_EQ(driver->sample(kSecond).error().code, ErrorCode::NotFound);
}

TEST_F(NvmlDriverTest, ReadingsThatAGpuOrTheDriverLacksAreAbsent) {
  const auto sample = driver->sample(kFirst);
  ASSERT_TRUE(sample) << sample.error().message;
  EXPECT_EQ(sample->memory_used_bytes, 1048576) << "version 2: without the driver's own";
  EXPECT_EQ(sample->utilization_percent, 37);
  EXPECT_EQ(sample->sm_clock_mhz, 1590);
  EXPECT_EQ(sample->temperature_c, std::nullopt) << "the library has no such function";

  gpu(1).optional_result = nvml::kNotSupported;
  const auto less = driver->sample(kFirst);
  ASSERT_TRUE(less);
  EXPECT_EQ(less->memory_used_bytes, 106127360) << "version 1";
  EXPECT_EQ(less->utilization_percent, std::nullopt);
}

TEST_F(NvmlDriverTest, ALostGpuIsUnavailableWithItsReasonAndDropsOutOfTheList) {
  ASSERT_TRUE(driver->list());
  gpu(1).result = nvml::kGpuIsLost;
  const auto sample = driver->sample(kFirst);
  ASSERT_FALSE(sample);
  EXPECT_EQ(sample.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(sample.error().reason, "GpuLost");
  EXPECT_EQ(sample.error().message, "nvmlDeviceGetHandleByUUID on " + kFirst.value + ": GPU is lost (15)");

  nvml->plugged[1].result = nvml::kGpuIsLost;
  ASSERT_EQ(driver->list().value().size(), 1U);
}

TEST_F(NvmlDriverTest, ProcessesAreMergedByPidAndAnyNumberOfThemFits) {
  ASSERT_TRUE(driver->list());
  for (unsigned pid = 1; pid <= 200; ++pid) gpu(1).compute.push_back({pid, 1000, 0, 0});
  gpu(1).mps.push_back({7, 2000, 0, 0});
  gpu(1).mps.push_back({300, nvml::kValueNotAvailable, 0, 0});
  const auto processes = driver->processes(kFirst);
  ASSERT_TRUE(processes) << processes.error().message;
  ASSERT_EQ(processes->size(), 201U);
  EXPECT_EQ((*processes)[6].pid, 7);
  EXPECT_TRUE((*processes)[6].mps_client);
  EXPECT_EQ((*processes)[6].memory_bytes, 2000);
  EXPECT_FALSE((*processes)[5].mps_client);
  EXPECT_EQ((*processes)[200].memory_bytes, 0);
}

TEST_F(NvmlDriverTest, TheComputeModeIsSetAndReadBack) {
  ASSERT_TRUE(driver->setComputeMode(kFirst, ComputeMode::ExclusiveProcess));
  EXPECT_EQ(gpu(1).compute_mode, 3);
  EXPECT_EQ(driver->sample(kFirst).value().compute_mode, ComputeMode::ExclusiveProcess);
  nvml->set_mode_result = nvml::kNoPermission;
  EXPECT_EQ(driver->setComputeMode(kFirst, ComputeMode::Default).error().code, ErrorCode::Denied);
}

TEST_F(NvmlDriverTest, PersistenceModeIsSetAndReadBackWhereTheGpuHasOne) {
  ASSERT_TRUE(driver->setPersistence(kFirst, true));
  EXPECT_EQ(gpu(1).persistence, 1);
  EXPECT_EQ(driver->persistence(kFirst), true);
  gpu(1).optional_result = nvml::kNotSupported;
  EXPECT_EQ(driver->persistence(kFirst).error().code, ErrorCode::NotFound);
}

TEST_F(NvmlDriverTest, WhileSuspendedNoGpuIsHeldAndEveryCallSaysSo) {
  ASSERT_TRUE(driver->list());
  ASSERT_TRUE(driver->suspend());
  EXPECT_EQ(nvml->initialised, 0);
  EXPECT_EQ(driver->list().error().reason, "DriverSuspended");
  EXPECT_EQ(driver->sample(kFirst).error().reason, "DriverSuspended");
  EXPECT_EQ(driver->waitEvent(std::chrono::milliseconds(1)).error().reason, "DriverSuspended");
  EXPECT_EQ(nvml->initialised, 0);
  driver->resume();
  EXPECT_TRUE(driver->list());
}

TEST_F(NvmlDriverTest, XidsArriveAndQuietIsNoError) {
  EXPECT_EQ(driver->waitEvent(std::chrono::milliseconds(5)).value(), std::nullopt);
  nvml->events.push_back({nullptr, nvml::kEventXidCritical, 79, 0, 0});
  const auto event = driver->waitEvent(std::chrono::seconds(20));
  ASSERT_TRUE(event && *event);
  EXPECT_EQ((*event)->uuid, kSecond);
  EXPECT_EQ((*event)->kind, EventKind::Xid);
  EXPECT_EQ((*event)->data, 79U);
}

// To see which GPUs there are, NVML is initialised anew, and the set of events goes with the old one.
TEST_F(NvmlDriverTest, EventsFromBeforeALookAtTheGpusAreStillTold) {
  ASSERT_EQ(driver->waitEvent(std::chrono::milliseconds(5)).value(), std::nullopt);
  nvml->events.push_back({nullptr, nvml::kEventXidCritical, 48, 0, 0});
  nvml->events.push_back({nullptr, nvml::kEventXidCritical, 79, 0, 0});
  ASSERT_TRUE(driver->list());
  for (const unsigned xid : {48U, 79U}) {
    const auto event = driver->waitEvent(std::chrono::seconds(20));
    ASSERT_TRUE(event && *event) << xid;
    EXPECT_EQ((*event)->data, xid);
  }
  EXPECT_EQ(driver->waitEvent(std::chrono::milliseconds(5)).value(), std::nullopt);
}

TEST_F(NvmlDriverTest, AFailedInitialisationIsNotRemembered) {
  nvml->init_result = nvml::kDriverNotLoaded;
  const auto none = driver->list();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(none.error().reason, "DriverNotLoaded");
  nvml->init_result = nvml::kSuccess;
  EXPECT_TRUE(driver->list());
}

TEST_F(NvmlDriverTest, ADriverThatIsUnloadedAndLoadedAgainIsOpenedAgain) {
  ASSERT_TRUE(driver->list());
  nvml->init_result = nvml::kDriverNotLoaded;
  EXPECT_FALSE(driver->list());
  EXPECT_FALSE(driver->sample(kFirst));
  nvml->init_result = nvml::kSuccess;
  EXPECT_TRUE(driver->sample(kFirst));
}

TEST_F(NvmlDriverTest, AHangingCallMakesTheDriverUnavailableUntilItReturns) {
  NvmlLimits impatient;
  impatient.call = std::chrono::milliseconds(20);
  driver = std::make_unique<NvmlDriver>(kRoots / "fake_nvml", impatient);
  ASSERT_TRUE(driver->list());
  setHang(true);
  // On a busy machine the limit may pass before the call reaches NVML.
  while (!hanging()) EXPECT_EQ(driver->sample(kFirst).error().code, ErrorCode::Unavailable);
  EXPECT_EQ(driver->sample(kSecond).error().message,
            "the NVIDIA driver has not returned from an earlier call");
  setHang(false);
  Result<GpuSample> sample = driver->sample(kFirst);
  while (!sample) sample = driver->sample(kFirst);
  EXPECT_EQ(sample->utilization_percent, 37);
}

TEST(NvmlLibraryTest, AnOldLibraryIsRefusedByTheNameOfWhatItLacks) {
  const auto info = NvmlDriver(kRoots / "old_nvml").info();
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, ErrorCode::Unavailable);
  EXPECT_NE(info.error().message.find("it lacks nvmlShutdown"), std::string::npos) << info.error().message;
}

TEST(NvmlLibraryTest, ADriverRootWithoutALibraryIsUnavailableByName) {
  const auto info = NvmlDriver("/nonexistent").info();
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(info.error().message, "no usable libnvidia-ml.so.1 below /nonexistent");
}

TEST(NvmlLibraryTest, OnlyTheSystemsOwnRootLeavesTheSearchToTheLoader) {
  EXPECT_EQ(nvml::libraryCandidates("/").back(), "libnvidia-ml.so.1");
  for (const fs::path& candidate : nvml::libraryCandidates("/opt/root")) {
    EXPECT_TRUE(candidate.string().starts_with("/opt/root/")) << candidate;
  }
}

}  // namespace
}  // namespace berth::gpu
