// The whole program against a daemon of canned answers.
#include "cli/cli.h"

#include <sstream>
#include <stop_token>

#include <gtest/gtest.h>

#include "cli/requests.h"
#include "cli/testing/fake_api.h"

namespace berth::cli {
namespace {

using testing::FakeApi;

const std::string kRunning =
    R"({"id":"op-12","kind":"apply","subject":"pods.yaml","state":"running","percent":0,"message":"","warnings":[],"error":null})";
const std::string kDone =
    R"({"id":"op-12","kind":"apply","subject":"pods.yaml","state":"succeeded","percent":100,"message":"","warnings":["late"],"error":null})";
const std::string kFailed =
    R"({"id":"op-12","kind":"apply","subject":"pods.yaml","state":"failed","percent":50,"message":"","warnings":[],
        "error":{"code":"Refused","reason":"X","message":"no","details":[]}})";
const std::string kAccepted = R"({"operation":)" + kRunning +
                              R"(,"plan":{"changes":["GPU 0: free -> local"],"warnings":["w"],"berths":[]}})";

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

Outcome runWith(const std::string& socket, const std::vector<std::string>& words,
                const std::string& input = "", const std::stop_token& stop = {}, bool terminal = false) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Surroundings around{in, out, err, terminal, terminal, 80, {}, [stop] { return stop; }, "edge-1", "now"};
  around.environment = [&](const char* name) {
    return std::string(name) == "BERTH_SOCKET" ? std::optional(socket) : std::nullopt;
  };
  around.retry_pause = std::chrono::milliseconds(1);
  std::vector<const char*> argv{"berth"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  const int status = run(static_cast<int>(argv.size()), argv.data(), around);
  return {status, out.str(), err.str()};
}

TEST(CliTest, EachLookIsOneRequest) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> looks{
      {{"status"}, "GET /api/v1/status\n"},
      {{"gpu", "list"}, "GET /api/v1/gpus\n"},
      {{"gpu", "show", "0000:3b:00.0"}, "GET /api/v1/gpus/0000%3A3b%3A00.0\n"},
      {{"workload", "list"}, "GET /api/v1/workloads\n"},
      {{"workload", "show", "a/b"}, "GET /api/v1/workloads/a%2Fb\n"},
      {{"workload", "logs", "w", "--tail", "3", "-c", "p/c"},
       "GET /api/v1/workloads/w/logs?container=p%2Fc&tail=3\n"},
      {{"kubernetes", "status"}, "GET /api/v1/kubernetes\n"},
      {{"mps", "status"}, "GET /api/v1/mps\n"},
      {{"events", "--since", "7"}, "GET /api/v1/events?since=7&limit=1000\n"},
      {{"operation", "list"}, "GET /api/v1/operations\n"},
      {{"operation", "show", "op-1"}, "GET /api/v1/operations/op-1\n"},
      {{"sim", "status"}, "GET /api/v1/sim\n"},
      {{"token", "list"}, "GET /api/v1/tokens\n"},
      {{"token", "create", "ci", "--role", "operator"},
       "POST /api/v1/tokens\n{\"name\":\"ci\",\"role\":\"operator\"}"},
      {{"token", "reset", "ci", "--lifetime", "60"},
       "POST /api/v1/tokens/ci/reset\n{\"lifetimeSeconds\":60}"},
      {{"token", "revoke", "ci"}, "DELETE /api/v1/tokens/ci\n"},
      {{"sim", "fault", "0", "xid", "79"},
       "POST /api/v1/sim/faults\n{\"gpu\":\"0\",\"fault\":\"xid\",\"value\":79}"},
      {{"get-hcsnvidiasmi"}, "GET /api/v1/status\n"}};
  for (const auto& [words, request] : looks) {
    FakeApi api({{200, R"({"name": "n"})"}});
    const Outcome outcome = runWith(api.socket(), words);
    EXPECT_EQ(outcome.status, 0) << request << outcome.err;
    EXPECT_NE(outcome.out, "") << request;
    EXPECT_EQ(api.requests(), std::vector<std::string>{request});
  }
}

TEST(CliTest, EachChangeIsOneRequestAndPrintsItsOperationWhenNotAwaited) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> changes{
      {{"gpu", "mode", "0", "mps"}, "PUT /api/v1/gpus/0/mode\n{\"mode\":\"mps\",\"restart\":false}"},
      {{"apply", "-f", "-"}, "POST /api/v1/apply?file=stdin\nkind: Pod"},
      {{"delete", "-f", "-"}, "POST /api/v1/delete?file=stdin\nkind: Pod"},
      {{"workload", "stop", "w"}, "POST /api/v1/workloads/w/stop\n"},
      {{"workload", "start", "w"}, "POST /api/v1/workloads/w/start\n"},
      {{"workload", "set", "w", "--memory", "4096", "--compute", "30"},
       "PATCH /api/v1/workloads/w/limits\n{\"memoryMiB\":4096,\"computePercent\":30,\"restart\":false}"},
      {{"workload", "set", "w", "-c", "c", "--compute", "1", "--restart"},
       "PATCH /api/v1/workloads/w/limits\n{\"container\":\"c\",\"computePercent\":1,\"restart\":true}"},
      {{"workload", "delete", "w"}, "DELETE /api/v1/workloads/w\n"},
      {{"reserve", "vm1", "--gpus", "2"}, "PUT /api/v1/reservations/vm1\n{\"gpus\":2}"},
      {{"unreserve", "vm1"}, "DELETE /api/v1/reservations/vm1\n"},
      {{"kubernetes", "enable"}, "POST /api/v1/kubernetes/enable\n"},
      {{"kubernetes", "disable"}, "POST /api/v1/kubernetes/disable\n"},
      {{"kubernetes", "release"}, "POST /api/v1/kubernetes/release\n{\"gpu\":null}"},
      {{"mps", "start", "--restart"}, "POST /api/v1/mps/start\n{\"gpu\":null,\"restart\":true}"},
      {{"mps", "stop", "--gpu", "1"}, "POST /api/v1/mps/stop\n{\"gpu\":\"1\",\"restart\":false}"}};
  for (auto [words, request] : changes) {
    FakeApi api({{202, kAccepted}});
    words.emplace_back("--no-wait");
    const Outcome outcome = runWith(api.socket(), words, "kind: Pod");
    EXPECT_EQ(outcome.status, 0) << request << outcome.err;
    EXPECT_EQ(outcome.out, "op-12\n");
    EXPECT_EQ(outcome.err, "warning: w\n");
    EXPECT_EQ(api.requests(), std::vector<std::string>{request});
  }
}

TEST(CliTest, ASecretIsTheFirstLineOfItsFile) {
  FakeApi api({{200, R"({"name": "ci", "secret": "s", "token": "t"})"}});
  const Outcome outcome =
      runWith(api.socket(), {"token", "reset", "ci", "--secret-file", "-"}, "correct horse\nmore\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(api.requests().front(), "POST /api/v1/tokens/ci/reset\n{\"secret\":\"correct horse\"}");
}

TEST(CliTest, AFileWhoseNameIsNotUtf8IsNamedAsFarAsItIs) {
  Arguments args;
  args.verb = Verb::Apply;
  EXPECT_EQ(requestFor(args, {"pods\xDE.yaml", "text"}).target, "/api/v1/apply?file=pods%3F.yaml");
}

TEST(CliTest, AChangeIsFollowedToItsEndThroughARestartOfTheDaemon) {
  FakeApi api({{202, kAccepted}, {200, "", true}, {200, kDone}});
  const Outcome outcome = runWith(api.socket(), {"apply", "-f", "-"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "GPU 0: free -> local\napply pods.yaml: done\n");
  EXPECT_EQ(outcome.err, "warning: w\nwarning: late\n");
  EXPECT_EQ(api.requests().back(), "GET /api/v1/operations/op-12?wait=30\n");
}

TEST(CliTest, AnExtensionIsWaitedForUntilItRestsOrIsGone) {
  const std::string creating = R"({"name":"g","state":"Creating","percent":5,"message":"m","outcome":null})";
  const std::string failed = R"({"name":"g","state":"Failed","type":"T","percent":0,"message":"",
      "outcome":{"code":14,"driverVersion":"","message":"it failed","remedy":"berth vm extension retry"}})";
  {
    FakeApi api({{202, creating}, {200, "[" + creating + "]"}, {200, "[" + failed + "]"}});
    const Outcome outcome = runWith(api.socket(), {"vm", "extension", "add", "vm1", "--name", "g", "--wait"});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.err,
              "berth: it failed\n  exit code 14: the attempt failed - try: berth vm extension retry\n");
    EXPECT_EQ(api.requests().back(), "GET /api/v1/vms/vm1/extensions\n");
  }
  FakeApi api({{202, creating}, {200, "[]"}});
  const Outcome outcome = runWith(api.socket(), {"vm", "extension", "remove", "vm1", "g", "--wait"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "g: removed\n");
}

TEST(CliTest, OnATerminalProgressIsDrawnAndTakenAwayAgain) {
  FakeApi api({{202, kAccepted}, {200, kDone}});
  const Outcome outcome = runWith(api.socket(), {"apply", "-f", "-"}, "", {}, true);
  EXPECT_EQ(outcome.err, "warning: w\n\r\x1b[Kop-12: 0 %\r\x1b[Kwarning: late\n");
}

TEST(CliTest, AFailedOperationExitsWithItsErrorsStatus) {
  FakeApi api({{200, kFailed}});
  const Outcome outcome = runWith(api.socket(), {"operation", "wait", "op-12"});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(outcome.err, "berth: no\n");
}

TEST(CliTest, B17ARefusalNamesHoldersAndRemediesAndExitsWith3) {
  FakeApi api({{409, R"({"error":{"code":"Refused","reason":"InsufficientGpu","message":"no free GPU",
      "details":[{"target":"GPU 0","message":"held by reservation vm1","remedy":"berth unreserve vm1"}]}})"}});
  const Outcome outcome = runWith(api.socket(), {"plan", "reserve", "vm2", "--gpus", "1"});
  EXPECT_EQ(outcome.status, 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "berth: no free GPU\n  GPU 0: held by reservation vm1 - free it with: berth unreserve vm1\n");
  EXPECT_EQ(api.requests(),
            std::vector<std::string>{"PUT /api/v1/reservations/vm2?dryRun=true\n{\"gpus\":1}"});
}

TEST(CliTest, ADaemonThatIsNotThereIsNamedWithTheWayToStartIt) {
  const Outcome outcome = runWith("/nonexistent/s", {"status"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("/nonexistent/s"), std::string::npos);
  EXPECT_NE(outcome.err.find("systemctl start berthd"), std::string::npos);
}

TEST(CliTest, CtrlCDetachesAndSaysHowToFollow) {
  std::stop_source stop;
  FakeApi api({{200, kRunning}, {200, "", false, true, [&stop] { stop.request_stop(); }}});
  const Outcome outcome = runWith(api.socket(), {"operation", "wait", "op-12"}, "", stop.get_token());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "op-12 goes on; follow it with: berth operation wait op-12\n");
}

TEST(CliTest, AFileOfTheLimitIsSentAndOneByteMoreIsAUsageError) {
  FakeApi api({{202, kAccepted}});
  EXPECT_EQ(runWith(api.socket(), {"--no-wait", "apply", "-f", "-"}, std::string(kMaxInputBytes, 'x')).status,
            0);
  EXPECT_EQ(runWith("/nonexistent/s", {"apply", "-f", "-"}, std::string(kMaxInputBytes + 1, 'x')).status, 2);
}

TEST(CliTest, EventsAreFollowedFromTheLastOneThroughARestart) {
  const auto event = [](int seq) {
    return R"({"seq":)" + std::to_string(seq) +
           R"(,"time":"2026-01-02T03:04:05.678Z","kind":"k","subject":"s","message":"m"})";
  };
  FakeApi api({{200, "[" + event(1) + "]"},
               {200, "id: 2\ndata: " + event(2) + "\n\n"},
               {200, "", true},
               {200, "data: no json\n\n"}});
  const Outcome outcome = runWith(api.socket(), {"events", "-f", "-o", "json"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, event(1) + "\n" + event(2) + "\n");
  EXPECT_EQ(api.requests(),
            (std::vector<std::string>{
                "GET /api/v1/events?since=0&limit=1000\n", "GET /api/v1/events/stream?since=1\n",
                "GET /api/v1/events/stream?since=2\n", "GET /api/v1/events/stream?since=2\n"}));
}

TEST(CliTest, A16StartHcsGpuMpsSwitchesMpsAndPrintsTheAppliancesLines) {
  FakeApi api({{202, kAccepted},
               {200, kDone},
               {200, R"([{"gpu":0,"pciAddress":"0000:3b:00.0","state":"running"}])"}});
  const Outcome outcome = runWith(api.socket(), {"start-hcsgpumps"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out,
            "edge-1\nSet compute mode to EXCLUSIVE_PROCESS for GPU 00000000:3B:00.0.\nAll done.\n"
            "Created nvidia-mps.service.\n");
  EXPECT_EQ(api.requests().front(), "POST /api/v1/mps/start\n{\"gpu\":null,\"restart\":false}");
}

TEST(CliTest, CompletionAndManPageKnowEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = runWith("/nonexistent/s", {"completion", shell});
    EXPECT_EQ(outcome.status, 0);
    for (const char* word : {"unreserve", "Start-HcsGpuMPS", "timeslice", "operation"}) {
      EXPECT_NE(outcome.out.find(word), std::string::npos) << shell << " " << word;
    }
  }
  const Outcome page = runWith("/nonexistent/s", {"--man"});
  EXPECT_EQ(page.out.rfind(".TH BERTH 1", 0), 0U);
  EXPECT_NE(page.out.find("berth kubernetes release"), std::string::npos);
}

}  // namespace
}  // namespace berth::cli
