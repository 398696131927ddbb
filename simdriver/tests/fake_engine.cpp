#include "tests/fake_engine.h"

#include <string>

namespace berth::sim::testing {
namespace {

class FakeSession final : public Session {
 public:
  explicit FakeSession(FakeGpu& gpu) : gpu_(gpu) { ++gpu_.sessions; }
  ~FakeSession() override {
    --gpu_.sessions;
    gpu_.reserved -= mine_;
  }

  const Profile& profile() const override { return gpu_.profile; }
  Status reserve(std::uint64_t bytes) override {
    if (bytes > gpu_.profile.memory_bytes - gpu_.reserved) return Status::OutOfMemory;
    gpu_.reserved += bytes;
    mine_ += bytes;
    return Status::Ok;
  }
  void release(std::uint64_t bytes) override {
    if (bytes > mine_) __builtin_trap();  // More than was ever taken: the driver lost count
    gpu_.reserved -= bytes;
    mine_ -= bytes;
  }
  MemoryInfo memoryInfo() override {
    return {gpu_.profile.memory_bytes - gpu_.reserved, gpu_.profile.memory_bytes};
  }
  std::uint32_t createStream(int) override {
    submitted_.push_back(0);
    return static_cast<std::uint32_t>(submitted_.size() - 1);
  }
  void destroyStream(std::uint32_t) override {}
  Status submit(std::uint32_t stream, const Work&, Ticket& ticket) override {
    if (stream >= submitted_.size()) return Status::Io;
    ticket = {stream, ++submitted_[stream]};
    return fault_;
  }
  Status waitFor(std::uint32_t, const Ticket&) override { return fault_; }
  bool done(const Ticket&) override { return true; }
  Status wait(const Ticket&) override { return fault_; }
  Status waitAll() override { return fault_; }
  std::uint64_t finishedAt(const Ticket& ticket) override { return ticket.sequence; }
  Ticket last(std::uint32_t stream) override {
    return {stream, stream < submitted_.size() ? submitted_[stream] : 0};
  }
  std::uint64_t now() override { return 1; }
  void raiseFault() override { fault_ = Status::IllegalAddress; }
  Status fault() override { return fault_; }
  double grantedSms() override { return gpu_.profile.sm_count; }

 private:
  FakeGpu& gpu_;
  std::uint64_t mine_ = 0;
  Status fault_ = Status::Ok;
  std::vector<std::uint64_t> submitted_{0};
};

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(std::vector<FakeGpu>& gpus) : gpus_(gpus) {}

  std::vector<VisibleGpu> gpus(bool) override {
    std::vector<VisibleGpu> visible;
    for (std::size_t i = 0; i < gpus_.size(); ++i) {
      visible.push_back({"GPU-00000000-0000-0000-0000-00000000000" + std::to_string(i),
                         "00000000:0" + std::to_string(i) + ":00.0", std::to_string(i), gpus_[i].profile});
    }
    return visible;
  }
  Status open(const VisibleGpu& gpu, std::unique_ptr<Session>& session) override {
    constexpr std::uint64_t kMost = 16;
    FakeGpu& at = gpus_[std::stoul(gpu.state_file)];
    if (at.sessions == kMost) return Status::DeviceUnavailable;
    session = std::make_unique<FakeSession>(at);
    return Status::Ok;
  }

 private:
  std::vector<FakeGpu>& gpus_;
};

}  // namespace

FakeGpu smallGpu() {
  FakeGpu gpu;
  gpu.profile.name = "Fake";
  gpu.profile.sm_count = 40;
  gpu.profile.compute_major = 7;
  gpu.profile.compute_minor = 5;
  gpu.profile.memory_bytes = 64ULL << 20U;
  gpu.profile.gflops_fp32 = 4000;
  gpu.profile.memory_clock_mhz = 5000;
  gpu.profile.memory_bus_bits = 256;
  return gpu;
}

std::unique_ptr<Engine> makeFakeEngine(std::vector<FakeGpu>& gpus) {
  return std::make_unique<FakeEngine>(gpus);
}

}  // namespace berth::sim::testing
