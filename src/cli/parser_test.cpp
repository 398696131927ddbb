#include "cli/parser.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace berth::cli {
namespace {

using http::ExitStatus;

std::variant<Arguments, Notice> parseLine(const std::string& line) { return parse(split(line, ' ')); }

Arguments argumentsOf(const std::string& line) {
  const auto parsed = parseLine(line);
  const auto* notice = std::get_if<Notice>(&parsed);
  EXPECT_EQ(notice, nullptr) << line << ": " << (notice == nullptr ? "" : notice->text);
  return notice == nullptr ? std::get<Arguments>(parsed) : Arguments{};
}

std::string usageError(const std::string& line) {
  const auto parsed = parseLine(line);
  const auto* notice = std::get_if<Notice>(&parsed);
  if (notice == nullptr) return "";
  EXPECT_EQ(notice->status, ExitStatus::Usage) << line;
  return notice->text;
}

TEST(ParserTest, EveryVerbIsRecognised) {
  const std::vector<std::pair<std::string, Verb>> lines{
      {"status", Verb::Status},
      {"gpu list", Verb::GpuList},
      {"gpu show 0", Verb::GpuShow},
      {"gpu mode 0 mps", Verb::GpuMode},
      {"apply -f a.yaml", Verb::Apply},
      {"delete -f a.yaml", Verb::Delete},
      {"plan -f a.yaml", Verb::Apply},
      {"plan reserve vm1 --gpus 2", Verb::Reserve},
      {"plan kubernetes enable", Verb::KubernetesEnable},
      {"plan kubernetes release 0", Verb::KubernetesRelease},
      {"plan gpu mode 0 mps", Verb::GpuMode},
      {"workload list", Verb::WorkloadList},
      {"workload show w", Verb::WorkloadShow},
      {"workload logs w", Verb::WorkloadLogs},
      {"workload stop w", Verb::WorkloadStop},
      {"workload start w", Verb::WorkloadStart},
      {"workload set w --memory 1", Verb::WorkloadSet},
      {"workload delete w", Verb::WorkloadDelete},
      {"reserve vm1 --gpus 1", Verb::Reserve},
      {"unreserve vm1", Verb::Unreserve},
      {"kubernetes enable", Verb::KubernetesEnable},
      {"kubernetes disable", Verb::KubernetesDisable},
      {"kubernetes release", Verb::KubernetesRelease},
      {"kubernetes status", Verb::KubernetesStatus},
      {"mps start", Verb::MpsStart},
      {"mps stop --gpu 1", Verb::MpsStop},
      {"mps status", Verb::MpsStatus},
      {"events -f", Verb::Events},
      {"operation list", Verb::OperationList},
      {"operation show op-1", Verb::OperationShow},
      {"operation wait op-1", Verb::OperationWait},
      {"sim fault 0 xid 79", Verb::SimFault},
      {"sim fault 0 lost", Verb::SimFault},
      {"sim fault 0 hang", Verb::SimFault},
      {"sim fault 0 ecc 3", Verb::SimFault},
      {"sim fault 0 thermal 94", Verb::SimFault},
      {"sim status", Verb::SimStatus},
      {"token create ci --role operator", Verb::TokenCreate},
      {"token list", Verb::TokenList},
      {"token reset EdgeArmUser", Verb::TokenReset},
      {"token revoke ci", Verb::TokenRevoke},
      {"completion bash", Verb::Completion},
      {"version", Verb::Version},
      {"--man", Verb::ManPage},
      {"Start-HcsGpuMPS", Verb::HcsStartMps},
      {"start-hcsgpumps", Verb::HcsStartMps},
      {"STOP-HCSGPUMPS", Verb::HcsStopMps},
      {"get-hcsgpunvidiasmi", Verb::HcsNvidiaSmi},
      {"Get-HcsNvidiaSmi", Verb::HcsNvidiaSmi},
  };
  for (const auto& [line, verb] : lines) EXPECT_EQ(argumentsOf(line).verb, verb) << line;
}

TEST(ParserTest, OptionsReachTheCommandTheyStandAt) {
  const Arguments logs = argumentsOf("workload logs -f --tail 0 -c main w -o yaml --timeout 5");
  EXPECT_TRUE(logs.follow);
  EXPECT_EQ(logs.tail, 0);
  EXPECT_EQ(logs.container, "main");
  EXPECT_EQ(logs.name, "w");
  EXPECT_EQ(logs.output, Output::Yaml);
  EXPECT_EQ(logs.timeout_seconds, 5);
  const Arguments before = argumentsOf("-o json --socket /s --no-wait gpu mode GPU-1 exclusive --restart");
  EXPECT_EQ(before.output, Output::Json);
  EXPECT_EQ(before.socket, "/s");
  EXPECT_TRUE(before.no_wait);
  EXPECT_TRUE(before.restart);
  EXPECT_EQ(before.gpu, "GPU-1");
  EXPECT_EQ(before.mode, "exclusive");
}

TEST(ParserTest, FilesMayBeRepeatedAndStandardInputIsOne) {
  EXPECT_EQ(argumentsOf("apply -f a -f - -f b").files, (std::vector<std::string>{"a", "-", "b"}));
}

TEST(ParserTest, B17APlanIsADryRun) {
  EXPECT_TRUE(argumentsOf("plan -f a").dry_run);
  EXPECT_TRUE(argumentsOf("plan reserve vm1 --gpus 1").dry_run);
  EXPECT_TRUE(argumentsOf("plan gpu mode 0 mps").dry_run);
  EXPECT_TRUE(argumentsOf("plan kubernetes disable").dry_run);
  EXPECT_TRUE(argumentsOf("apply -f a --dry-run").dry_run);
  EXPECT_FALSE(argumentsOf("apply -f a").dry_run);
}

TEST(ParserTest, AWorkloadMayBeNamedLikeACommand) {
  EXPECT_EQ(argumentsOf("workload show status").name, "status");
  EXPECT_EQ(argumentsOf("workload delete list").name, "list");
}

TEST(ParserTest, WrongLinesAreUsageErrors) {
  for (const char* line : {"fly",
                           "gpu",
                           "gpu fly",
                           "gpu mode 0 fast",
                           "gpu show",
                           "apply",
                           "plan",
                           "plan -f a kubernetes enable",
                           "reserve vm1",
                           "reserve vm1 --gpus 0",
                           "reserve vm1 --gpus 1001",
                           "workload logs w --tail -1",
                           "workload set w",
                           "workload set w --compute 101",
                           "workload set w --memory 0",
                           "sim fault 0 xid",
                           "sim fault 0 ecc",
                           "sim fault 0 thermal",
                           "sim fault 0 lost 3",
                           "sim fault 0 hang 3",
                           "sim fault 0 xid 1000",
                           "token create",
                           "token create ci --role king",
                           "token create ci --lifetime 0",
                           "completion csh",
                           "-o xml status",
                           "status extra",
                           "status --timeout 0"}) {
    EXPECT_NE(usageError(line), "") << line;
  }
}

TEST(ParserTest, HelpIsNoErrorAndEveryVerbHasAnExample) {
  const auto parsed = parseLine("gpu mode --help");
  ASSERT_TRUE(std::holds_alternative<Notice>(parsed));
  EXPECT_EQ(std::get<Notice>(parsed).status, ExitStatus::Done);
  EXPECT_NE(std::get<Notice>(parsed).text.find("berth gpu mode 0 mps"), std::string::npos);
}

}  // namespace
}  // namespace berth::cli
