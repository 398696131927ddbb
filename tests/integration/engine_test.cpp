// DockerEngine against real engines of this machine, in private instances: Podman's service and dockerd.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/text.h"
#include "container/docker_engine.h"
#include "container/gpu_edits.h"
#include "os/process.h"

namespace berth::container {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kServiceLimit{60};
constexpr seconds kExitLimit{20};
constexpr const char* kImage = "localtest/busy:1";

struct Podman {
  static constexpr const char* kName = "podman";
};
struct Docker {
  static constexpr const char* kName = "docker";
};

// One engine in a folder of its own, for all tests of a suite.
class Service {
 public:
  explicit Service(std::string name)
      : name_(std::move(name)),
        folder_(fs::temp_directory_path() / ("be-" + name_ + std::to_string(::getpid()))) {
    const auto started = call("start");
    if (!started) {
      problem_ = started.error().message;
    } else if (!started->status.success()) {
      lacking_ = started->status.code == 77;
      problem_ = started->errors;
    } else {
      socket_ = trim(started->output);
    }
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() {
    const auto stopped = call("stop");
    if (!stopped || !stopped->status.success()) std::fprintf(stderr, "%s did not stop\n", name_.c_str());
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  const std::string& socket() const { return socket_; }
  const fs::path& folder() const { return folder_; }
  bool lacking() const { return lacking_; }
  const std::string& problem() const { return problem_; }

 private:
  Result<os::ProcessResult> call(const std::string& action) {
    os::ProcessSpec spec;
    spec.argv = {BERTH_SOURCE_DIR "/tests/integration/engine_service", name_, action, folder_.string()};
    return os::PosixProcessRunner().run(spec, steady_clock::now() + kServiceLimit);
  }

  std::string name_;
  fs::path folder_;
  std::string socket_;
  std::string problem_;
  bool lacking_ = false;
};

struct Output {
  std::string out, err;
  LogSink sink() {
    return [this](bool is_stderr, std::string_view bytes) {
      (is_stderr ? err : out) += bytes;
      return true;
    };
  }
};

template <typename Kind>
class EngineTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { service_ = std::make_unique<Service>(Kind::kName); }
  static void TearDownTestSuite() { service_.reset(); }

  void SetUp() override {
    if (service_->lacking()) GTEST_SKIP() << service_->problem();
    ASSERT_EQ(service_->problem(), "");
    engine_ = std::make_unique<DockerEngine>(service_->socket());
  }
  void TearDown() override {
    for (const ContainerId& id : made_) EXPECT_TRUE(engine_->remove(id, true));
  }

  static ContainerConfig shell(std::string script) {
    ContainerConfig config;
    config.name = "t" + std::to_string(++names_);
    config.image = kImage;
    config.entrypoint = {"/bin/sh", "-c"};
    config.command = {std::move(script)};
    config.host_network = true;
    config.labels = {{"berth.dev/test", config.name}};
    return config;
  }

  ContainerId create(const ContainerConfig& config) {
    const auto id = engine_->create(config);
    EXPECT_TRUE(id) << id.error().message;
    if (!id) return {};
    made_.push_back(*id);
    return *id;
  }
  ContainerId run(const ContainerConfig& config) {
    const ContainerId id = create(config);
    const auto started = engine_->start(id);
    EXPECT_TRUE(started) << started.error().message;
    return id;
  }

  // Its output to the end, which is the container's end.
  Output follow(const ContainerId& id) {
    Output output;
    LogOptions options;
    options.follow = true;
    const auto followed = engine_->logs(id, options, output.sink());
    EXPECT_TRUE(followed) << followed.error().message;
    return output;
  }

  // The engine notes an exit a little after the output's end.
  ContainerStatus waitExited(const ContainerId& id) {
    const auto deadline = steady_clock::now() + kExitLimit;
    for (;;) {
      const auto status = engine_->inspect(id);
      EXPECT_TRUE(status) << status.error().message;
      if (!status || status->state == ContainerState::Exited) return status ? *status : ContainerStatus{};
      if (steady_clock::now() > deadline) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    ADD_FAILURE() << "the container does not end";
    return {};
  }

  fs::path hostFile(const std::string& name, const std::string& content) {
    const fs::path path = service_->folder() / "files" / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
    return path;
  }

  static std::unique_ptr<Service> service_;
  static int names_;
  std::unique_ptr<DockerEngine> engine_;
  std::vector<ContainerId> made_;
};
template <typename Kind>
std::unique_ptr<Service> EngineTest<Kind>::service_;
template <typename Kind>
int EngineTest<Kind>::names_ = 0;

struct KindNames {
  template <typename Kind>
  static std::string GetName(int) {
    return Kind::kName;
  }
};
using Kinds = ::testing::Types<Podman, Docker>;
TYPED_TEST_SUITE(EngineTest, Kinds, KindNames);

TYPED_TEST(EngineTest, TheVersionNamesTheEngine) {
  const auto version = this->engine_->version();
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_EQ(version->find(std::string(TypeParam::kName) + " "), 0U) << *version;
}

TYPED_TEST(EngineTest, AContainerIsCreatedStartedListedStoppedAndRemoved) {
  const ContainerConfig config = this->shell("sleep 1000");
  const ContainerId id = this->create(config);
  const auto created = this->engine_->inspect(id);
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(created->state, ContainerState::Created);
  EXPECT_EQ(created->pid, 0);

  ASSERT_TRUE(this->engine_->start(id));
  ASSERT_TRUE(this->engine_->start(id)) << "starting a running one is no error";
  const auto running = this->engine_->inspect(id);
  ASSERT_TRUE(running);
  EXPECT_EQ(running->state, ContainerState::Running);
  EXPECT_EQ(running->name, config.name);
  EXPECT_TRUE(fs::exists("/proc/" + std::to_string(running->pid) + "/root/bin/busybox"));
  EXPECT_GT(running->started.time_since_epoch().count(), 0);

  const auto listed = this->engine_->list("berth.dev/test", config.name);
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ((*listed)[0].id, id);
  EXPECT_EQ((*listed)[0].pid, running->pid);
  EXPECT_TRUE(this->engine_->list("berth.dev/test", "another")->empty());

  ASSERT_TRUE(this->engine_->stop(id, seconds(0)));
  EXPECT_EQ(this->waitExited(id).pid, 0);
  ASSERT_TRUE(this->engine_->stop(id, seconds(0))) << "stopping a stopped one is no error";
  ASSERT_TRUE(this->engine_->remove(id, false));
  const auto gone = this->engine_->inspect(id);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::NotFound);
  EXPECT_TRUE(this->engine_->remove(id, false)) << "removing a removed one is no error";
}

TYPED_TEST(EngineTest, ExitCodesAndTimesAreKept) {
  for (const int code : {0, 7}) {
    const ContainerId id = this->run(this->shell("exit " + std::to_string(code)));
    const ContainerStatus status = this->waitExited(id);
    EXPECT_EQ(status.exit_code, code);
    EXPECT_FALSE(status.oom_killed);
    EXPECT_GT(status.finished.time_since_epoch().count(), 0);
  }
}

TYPED_TEST(EngineTest, AStopIsATermFirstAndAKillAfterTheGrace) {
  const std::string forever = "; echo ready; while :; do sleep 0.05; done";
  for (const auto& [trap, code] : {std::pair{"trap 'exit 3' TERM", 3}, {"trap '' TERM", 137}}) {
    const ContainerId id = this->run(this->shell(trap + forever));
    Output output;
    LogOptions options;
    options.follow = true;
    ASSERT_TRUE(this->engine_->logs(id, options, [&](bool, std::string_view bytes) {
      output.out += bytes;
      return output.out != "ready\n";
    }));
    ASSERT_TRUE(this->engine_->stop(id, seconds(1)));
    EXPECT_EQ(this->waitExited(id).exit_code, code) << trap;
  }
}

TYPED_TEST(EngineTest, BothStreamsAreFollowedToTheEndAndTheTailIsTheLastLines) {
  const ContainerId id = this->run(this->shell("echo first; echo bad >&2; sleep 0.3; echo last"));
  const Output followed = this->follow(id);
  EXPECT_EQ(followed.out, "first\nlast\n");
  EXPECT_EQ(followed.err, "bad\n");
  this->waitExited(id);
  Output all;
  ASSERT_TRUE(this->engine_->logs(id, {}, all.sink()));
  EXPECT_EQ(all.out, "first\nlast\n");
  EXPECT_EQ(all.err, "bad\n");
  Output tail;
  LogOptions options;
  options.tail = 1;
  ASSERT_TRUE(this->engine_->logs(id, options, tail.sink()));
  EXPECT_EQ(tail.out + tail.err, "last\n");
}

TYPED_TEST(EngineTest, ATerminalsOutputHasNoFrames) {
  ContainerConfig config = this->shell("echo out; echo err >&2");
  config.tty = true;
  const ContainerId id = this->run(config);
  this->waitExited(id);
  Output output;
  ASSERT_TRUE(this->engine_->logs(id, {}, output.sink()));
  EXPECT_EQ(output.out, "out\r\nerr\r\n");
  EXPECT_EQ(output.err, "");
}

TYPED_TEST(EngineTest, AStopTokenEndsFollowingASilentContainer) {
  const ContainerId id = this->run(this->shell("echo started; sleep 1000"));
  std::stop_source stop;
  LogOptions options;
  options.follow = true;
  options.stop = stop.get_token();
  std::jthread stopper;
  const auto followed = this->engine_->logs(id, options, [&](bool, std::string_view) {
    if (!stopper.joinable()) stopper = std::jthread([&] { stop.request_stop(); });
    return true;
  });
  EXPECT_TRUE(followed) << followed.error().message;
}

TYPED_TEST(EngineTest, AnImageThatIsNotThereIsNamedAndNotPulled) {
  ContainerConfig config = this->shell("true");
  config.image = "nvidia/absent:1";
  const auto created = this->engine_->create(config);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::NotFound);
  EXPECT_NE(created.error().message.find("nvidia/absent:1"), std::string::npos);
  EXPECT_NE(created.error().message.find("load it"), std::string::npos);
  EXPECT_EQ(this->engine_->imageId("nvidia/absent:1").error().code, ErrorCode::NotFound);
  const auto present = this->engine_->imageId(kImage);
  ASSERT_TRUE(present) << present.error().message;
  EXPECT_EQ(present->find("sha256:"), 0U);
}

TYPED_TEST(EngineTest, ATakenNameIsAConflict) {
  const ContainerConfig config = this->shell("true");
  this->create(config);
  const auto again = this->engine_->create(config);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::Conflict);
}

TYPED_TEST(EngineTest, AStartThatFailsSaysWhyInTheEnginesWords) {
  ContainerConfig config = this->shell("true");
  config.entrypoint = {"/no/such/program"};
  const auto started = this->engine_->start(this->create(config));
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("/no/such/program"), std::string::npos) << started.error().message;
}

TYPED_TEST(EngineTest, CallsForAContainerThatIsNotThereAreNotFound) {
  const ContainerId absent("0123456789abcdef");
  EXPECT_EQ(this->engine_->start(absent).error().code, ErrorCode::NotFound);
  EXPECT_EQ(this->engine_->stop(absent, seconds(0)).error().code, ErrorCode::NotFound);
  Output output;
  EXPECT_EQ(this->engine_->logs(absent, {}, output.sink()).error().code, ErrorCode::NotFound);
}

TYPED_TEST(EngineTest, AMountOfWhatDoesNotExistIsRefusedAndNotMade) {
  ContainerConfig config = this->shell("true");
  const fs::path absent = this->service_->folder() / "absent";
  config.binds = {{absent.string(), "/x"}};
  const auto created = this->engine_->create(config);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::InvalidArgument);
  EXPECT_FALSE(fs::exists(absent));
}

TYPED_TEST(EngineTest, TheConfigurationReachesTheProcess) {
  ContainerConfig config =
      this->shell("id -u; pwd; echo $A; ulimit -n; cat /x; echo no > /x || echo refused");
  config.user = "1000";
  config.working_dir = "/usr";
  config.env = {{"A", "b=c d"}};
  config.memory_limit_bytes = 64 << 20;
  config.cpu_limit = 0.5;
  config.binds = {{this->hostFile("x", "content\n").string(), "/x", true}};
  const ContainerId id = this->run(config);
  const Output output = this->follow(id);
  EXPECT_EQ(output.out, "1000\n/usr\nb=c d\n1024\ncontent\nrefused\n") << output.err;
}

TYPED_TEST(EngineTest, AVolumeIsMadeOnceListedByItsLabelAndRemovedWhenNobodyHasIt) {
  Engine& engine = *this->engine_;
  const Volume volume{"berth-it-volume", {{"berth.dev/test", "volume"}}};
  ASSERT_TRUE(engine.createVolume(volume));
  ASSERT_TRUE(engine.createVolume(volume)) << "it is there already";
  const auto listed = engine.volumes("berth.dev/test", "volume");
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().name, volume.name);
  ContainerConfig config = this->shell("true");
  config.binds.push_back({volume.name, "/data", false, true});
  const auto id = engine.create(config);
  ASSERT_TRUE(id) << id.error().message;
  const auto refused = engine.removeVolume(volume.name);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Conflict);
  ASSERT_TRUE(engine.remove(*id, true));
  ASSERT_TRUE(engine.removeVolume(volume.name));
  ASSERT_TRUE(engine.removeVolume(volume.name)) << "there is none any more";
  EXPECT_TRUE(engine.volumes("berth.dev/test", "volume").value().empty());
}

TYPED_TEST(EngineTest, ProcessIdsAndSharedMemoryCanBeTheHosts) {
  ContainerConfig config = this->shell("readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc");
  config.host_pid = true;
  config.host_ipc = true;
  const ContainerId id = this->run(config);
  const Output output = this->follow(id);
  EXPECT_EQ(output.out, fs::read_symlink("/proc/self/ns/pid").string() + "\n" +
                            fs::read_symlink("/proc/self/ns/ipc").string() + "\n");
}

TYPED_TEST(EngineTest, AGpusEditsArriveAndAreVerified) {
  DriverFiles files;
  files.simulated = true;
  files.libraries = {{this->hostFile("libcuda.so.1", "cuda").string(), "libcuda.so.1"}};
  GpuEditRequest request;
  request.gpus = {{GpuUuid("GPU-1"), 0, this->hostFile("sim/gpu0", "state").string()}};
  request.mps = MpsClient{this->service_->folder() / "pipe", "/dev/shm", Percent{20}, MiB{100}};
  fs::create_directories(request.mps->pipe_directory);
  const auto edits = gpuEdits(files, request);
  ASSERT_TRUE(edits);

  ContainerConfig config = this->shell(
      "cat /usr/lib/*-linux-gnu/libcuda.so.1 /usr/lib64/libcuda.so.1 $BERTH_SIM_DIR/gpu0; echo;"
      "echo $NVIDIA_VISIBLE_DEVICES $CUDA_MPS_ACTIVE_THREAD_PERCENTAGE; echo w > $BERTH_SIM_DIR/gpu0; exec "
      "sleep 1000");
  ASSERT_TRUE(applyEdits(*edits, config));
  const ContainerId id = this->run(config);
  const auto status = this->engine_->inspect(id);
  ASSERT_TRUE(status);
  const auto verified = verifyEdits(status->pid, *edits);
  EXPECT_TRUE(verified) << verified.error().message << ": " << verified.error().details[0].target;
  Output output;
  LogOptions options;
  options.follow = true;
  ASSERT_TRUE(this->engine_->logs(id, options, [&](bool is_stderr, std::string_view bytes) {
    return output.sink()(is_stderr, bytes) && std::count(output.out.begin(), output.out.end(), '\n') < 2;
  }));
  EXPECT_EQ(output.out, "cudacudastate\nGPU-1 20\n") << output.err;

  ContainerConfig plain = this->shell("sleep 1000");
  const auto bare = this->engine_->inspect(this->run(plain));
  ASSERT_TRUE(bare);
  const auto missing = verifyEdits(bare->pid, *edits);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().reason, "GpuEditsMissing");
  EXPECT_EQ(missing.error().details.size(), edits->binds.size());
}

}  // namespace
}  // namespace berth::container
