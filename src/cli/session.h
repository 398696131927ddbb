// One call of `berth` after its command line was read.
#pragma once

#include <string>
#include <vector>

#include <boost/json/value.hpp>

#include "cli/api_client.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/operation_follower.h"
#include "cli/requests.h"
#include "cli/table.h"
#include "http/error_mapping.h"

namespace berth::cli {

/// Prints an error: the message, then one indented line for each detail (rule B17). Returns the status to
/// exit with.
http::ExitStatus printError(std::ostream& err, const Error& error);

class Session {
 public:
  /// `surroundings` outlives it; `files` are the manifests, read.
  Session(Arguments args, std::vector<InputFile> files, const Surroundings& surroundings);

  /// Does what was asked. Once.
  http::ExitStatus run();

 private:
  http::ExitStatus look();
  http::ExitStatus change();
  http::ExitStatus logs();
  http::ExitStatus events();
  http::ExitStatus waitForOperation();
  http::ExitStatus injectFault();
  http::ExitStatus switchMpsAsTheAppliance();
  http::ExitStatus nvidiaSmi();
  http::ExitStatus changeSizes();
  http::ExitStatus customSizes();
  http::ExitStatus console();
  http::ExitStatus changeExtension();
  Result<boost::json::value> waitForExtension(boost::json::value extension);

  http::ExitStatus planned(const boost::json::value& plan, const InputFile& file);
  http::ExitStatus accepted(const boost::json::value& answer);
  http::ExitStatus follow(const boost::json::value& operation, bool show_result);
  http::ExitStatus detached(const Error& error, const std::string& id);
  http::ExitStatus followEvents(std::int64_t since);
  Result<void> streamEvents(std::int64_t& since);

  http::ExitStatus failed(const Error& error);
  void warn(const boost::json::value& holder);
  void printEvents(const boost::json::value& events);
  /// Structured output: printed now, or gathered when it is one of several answers.
  void printValue(const boost::json::value& value);
  bool isTable() const { return args_.output == Output::Table; }

  Arguments args_;
  std::vector<InputFile> files_;
  const Surroundings& around_;
  TextStyle style_;
  ApiClient api_;
  ProgressLine progress_;
  std::vector<std::string> warned_;
  boost::json::array gathered_;
};

}  // namespace berth::cli
