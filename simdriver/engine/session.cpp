#include "engine/session.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/gpu.h"
#include "engine/mps_client.h"
#include "engine/mps_settings.h"
#include "engine/state_folder.h"
#include "engine/visibility.h"

namespace berth::sim {
namespace {

constexpr std::uint64_t kShortestSleepNs = 20'000;
constexpr std::uint64_t kLongestSleepNs = 50'000'000;  // So that the dead are found while we wait.
constexpr std::uint64_t kHungSleepNs = 5'000'000;

std::optional<std::string_view> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

/// A context of this process, in a slot of the GPU's state.
class GpuSession final : public Session {
 public:
  GpuSession(std::shared_ptr<StateFile> file, std::uint32_t slot, std::uint32_t generation, double sms)
      : file_(std::move(file)), slot_(slot), generation_(generation), sms_(sms) {}

  ~GpuSession() override {
    if (file_->inherited()) return;  // Our parent's context.
    LockedGpu gpu(*file_);
    if (gpu.status() != Status::Ok || !ours(gpu)) return;
    gpu.leave(slot_);
    file_->unlockSlot(slot_);
  }

  /// Makes stream 0.
  Status start(LockedGpu& gpu) {
    const auto stream = gpu.model().openStream(slot_, 0);
    if (!stream) return Status::OutOfMemory;
    streams_.push_back({*stream, gpu.model().generation(*stream)});
    return Status::Ok;
  }

  const Profile& profile() const override { return file_->profile(); }

  Status reserve(std::uint64_t bytes) override {
    LockedGpu gpu(*file_);
    const Status status = check(gpu);
    return status == Status::Ok ? gpu.reserve(slot_, bytes) : status;
  }

  void release(std::uint64_t bytes) override {
    LockedGpu gpu(*file_);
    if (gpu.status() == Status::Ok && !file_->inherited() && ours(gpu)) gpu.release(slot_, bytes);
  }

  MemoryInfo memoryInfo() override {
    LockedGpu gpu(*file_);
    if (check(gpu) != Status::Ok) return {0, profile().memory_bytes};
    return gpu.memoryInfo(slot_);
  }

  std::uint32_t createStream(int priority) override {
    LockedGpu gpu(*file_);
    if (check(gpu) != Status::Ok) return kNoStream;
    const auto stream = gpu.model().openStream(slot_, priority);
    if (!stream) return kNoStream;
    const std::scoped_lock guard(mutex_);
    streams_.push_back({*stream, gpu.model().generation(*stream)});
    return static_cast<std::uint32_t>(streams_.size() - 1);
  }

  void destroyStream(std::uint32_t stream) override {
    LockedGpu gpu(*file_);
    const auto place = find(stream);
    if (stream == 0 || gpu.status() != Status::Ok || !place || !current(gpu, *place)) return;
    gpu.model().closeStream(place->index);
  }

  Status submit(std::uint32_t stream, const Work& work, Ticket& ticket) override {
    return whenRoom(stream, [&](LockedGpu& gpu, std::uint32_t index) {
      const auto sequence = gpu.model().push(index, work.sm_ns, work.max_sms);
      if (sequence) ticket = {stream, *sequence};
      return sequence.has_value();
    });
  }

  Status waitFor(std::uint32_t stream, const Ticket& after) override {
    const auto other = find(after.stream);
    if (!other || after.sequence == 0) return Status::Ok;
    return whenRoom(stream, [&](LockedGpu& gpu, std::uint32_t index) {
      return !current(gpu, *other) || gpu.model().pushBarrier(index, other->index, after.sequence);
    });
  }

  bool done(const Ticket& ticket) override {
    LockedGpu gpu(*file_);
    const auto place = find(ticket.stream);
    if (gpu.status() != Status::Ok || !place) return true;
    return !current(gpu, *place) || gpu.model().done(place->index, ticket.sequence);
  }

  Status wait(const Ticket& ticket) override {
    const auto place = find(ticket.stream);
    if (!place) return Status::Ok;
    return waitUntil([&](LockedGpu& gpu) -> std::optional<std::uint64_t> {
      if (!current(gpu, *place) || gpu.model().done(place->index, ticket.sequence)) return std::nullopt;
      return gpu.model().earliestFinish(place->index, ticket.sequence);
    });
  }

  Status waitAll() override {
    return waitUntil([this](LockedGpu& gpu) -> std::optional<std::uint64_t> {
      if (gpu.model().clientIdle(slot_)) return std::nullopt;
      return gpu.model().earliestIdle(slot_);
    });
  }

  std::uint64_t finishedAt(const Ticket& ticket) override {
    LockedGpu gpu(*file_);
    const auto place = find(ticket.stream);
    if (gpu.status() != Status::Ok || !place || !current(gpu, *place)) return 0;
    return gpu.model().finishedAt(place->index, ticket.sequence);
  }

  Ticket last(std::uint32_t stream) override {
    LockedGpu gpu(*file_);
    const auto place = find(stream);
    if (gpu.status() != Status::Ok || !place || !current(gpu, *place)) return {stream, 0};
    return {stream, gpu.model().submitted(place->index)};
  }

  std::uint64_t now() override {
    LockedGpu gpu(*file_);
    return gpu.status() == Status::Ok ? gpu.model().now() : 0;
  }

  void raiseFault() override {
    constexpr std::uint64_t kIllegalAddressXid = 31;
    LockedGpu gpu(*file_);
    if (check(gpu) != Status::Ok) return;
    gpu.pushEvent(kXidEvent, kIllegalAddressXid);
    const std::uint32_t server = gpu.state().slots[slot_].server;
    if (server < kMaxClients) {
      gpu.failServer(server);
    } else {
      gpu.failClient(slot_, Status::IllegalAddress);
    }
  }

  Status fault() override {
    LockedGpu gpu(*file_);
    return check(gpu);
  }

  double grantedSms() override { return sms_; }

 private:
  struct Place {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;
  };

  bool ours(const LockedGpu& gpu) const {
    const Slot& slot = file_->state().slots[slot_];
    return gpu.status() == Status::Ok && slot.kind != 0 && slot.generation == generation_;
  }

  Status check(LockedGpu& gpu) const {
    if (gpu.status() != Status::Ok) return gpu.status();
    if (file_->inherited()) return Status::DeviceUnavailable;
    const Status fault = gpu.faultOf(slot_, generation_);
    if (fault != Status::Ok) return fault;
    return gpu.lost() || gpu.bound() ? Status::DeviceLost : Status::Ok;
  }

  std::optional<Place> find(std::uint32_t stream) {
    const std::scoped_lock guard(mutex_);
    if (stream >= streams_.size()) return std::nullopt;
    return streams_[stream];
  }

  static bool current(LockedGpu& gpu, const Place& place) {
    return gpu.model().generation(place.index) == place.generation;
  }

  /// Repeats `attempt` until the stream's queue has room for it.
  template <typename Fn>
  Status whenRoom(std::uint32_t stream, Fn&& attempt) {
    const auto place = find(stream);
    if (!place) return Status::Io;
    return waitUntil([&](LockedGpu& gpu) -> std::optional<std::uint64_t> {
      if (!current(gpu, *place) || attempt(gpu, place->index)) return std::nullopt;
      return kShortestSleepNs;
    });
  }

  /// Sleeps for as long as `remaining` says (nothing: it is over), again and again, or until a fault.
  template <typename Fn>
  Status waitUntil(Fn&& remaining) {
    while (true) {
      std::uint64_t pause = 0;
      std::uint32_t seen = 0;
      {
        LockedGpu gpu(*file_);
        if (const Status status = check(gpu); status != Status::Ok) return status;
        const auto left = remaining(gpu);
        if (!left) return Status::Ok;
        pause = std::clamp(*left, kShortestSleepNs, kLongestSleepNs);
        if (gpu.state().health.hung != 0) pause = std::max(pause, kHungSleepNs);
        seen = std::atomic_ref(gpu.state().wake).load();
      }
      file_->sleep(seen, pause);
    }
  }

  std::shared_ptr<StateFile> file_;
  std::uint32_t slot_;
  std::uint32_t generation_;
  double sms_;
  std::mutex mutex_;
  std::vector<Place> streams_;
};

class FolderEngine final : public Engine {
 public:
  explicit FolderEngine(Access access) : access_(access) {}

  std::vector<VisibleGpu> gpus(bool for_cuda) override {
    auto files = usableFiles();
    std::vector<GpuName> names;
    for (const auto& file : files) names.push_back({file->index(), file->uuid()});
    std::vector<VisibleGpu> visible;
    std::vector<GpuName> visible_names;
    for (const std::size_t place : nvidiaVisible(names, environment("NVIDIA_VISIBLE_DEVICES"))) {
      const StateFile& file = *files[place];
      visible.push_back({file.uuid(), file.pciBusId(), file.path().string(), file.profile()});
      visible_names.push_back(names[place]);
    }
    if (!for_cuda) return visible;
    std::vector<VisibleGpu> chosen;
    for (const std::size_t place : cudaVisible(visible_names, environment("CUDA_VISIBLE_DEVICES"))) {
      chosen.push_back(visible[place]);
    }
    return chosen;
  }

  Status open(const VisibleGpu& gpu, std::unique_ptr<Session>& session) override {
    std::shared_ptr<StateFile> file;
    if (const Status status = StateFile::open(gpu.state_file, file); status != Status::Ok) return status;
    Admission admission;
    if (const Status status = askForAdmission(*file, admission); status != Status::Ok) return status;
    LockedGpu locked(*file);
    if (locked.status() != Status::Ok) return locked.status();
    std::uint32_t slot = 0;
    if (const Status status = locked.admit(admission, slot); status != Status::Ok) return status;
    const double sms = smsOfPercent(file->profile().sm_count, admission.thread_percent);
    const std::uint32_t generation = locked.state().slots[slot].generation;
    auto made = std::make_unique<GpuSession>(file, slot, generation, sms);
    if (const Status status = made->start(locked); status != Status::Ok) {
      locked.leave(slot);
      file->unlockSlot(slot);
      return status;
    }
    session = std::move(made);
    return Status::Ok;
  }

 private:
  std::vector<std::shared_ptr<StateFile>> usableFiles() const {
    auto files = openFolder(stateFolder(), access_);
    std::erase_if(files, [](const auto& file) {
      LockedGpu gpu(*file);
      return gpu.status() != Status::Ok || gpu.bound() || gpu.lost();
    });
    return files;
  }

  static Status askForAdmission(const StateFile& file, Admission& admission) {
    MpsRequest request;
    request.uuid = file.uuid();
    if (const auto text = environment("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE")) {
      request.thread_percent = parseThreadPercent(*text).value_or(0);
    }
    if (const auto text = environment("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT")) {
      request.pinned_limit_bytes = memoryLimitFor(*text, file.index(), file.uuid()).value_or(0);
    }
    const auto answer = askMps(mpsPipeDirectory(), request);
    if (!answer || answer->plain) return Status::Ok;
    if (answer->status != Status::Ok) return answer->status;
    admission = {SlotKind::MpsClient, answer->server_slot, answer->server_generation, answer->thread_percent,
                 answer->pinned_limit_bytes};
    return Status::Ok;
  }

  Access access_;
};

}  // namespace

std::unique_ptr<Engine> openEngine() noexcept { return std::make_unique<FolderEngine>(Access::Mapped); }

std::unique_ptr<Engine> openReadingEngine() noexcept {
  return std::make_unique<FolderEngine>(Access::Snapshot);
}

}  // namespace berth::sim
