#include "cli/cli.h"

#include <utility>
#include <variant>
#include <vector>

#include <boost/json.hpp>

#include "cli/completion.h"
#include "cli/input_files.h"
#include "cli/json_text.h"
#include "cli/man_page.h"
#include "cli/parser.h"
#include "cli/session.h"
#include "cli/version.h"
#include "cli/vm_requests.h"

namespace berth::cli {
namespace {

using http::ExitStatus;

void printVersion(Output output, std::ostream& out) {
  const boost::json::object version{{"version", kVersion}};
  if (output == Output::Json) {
    out << prettyJson(version);
  } else if (output == Output::Yaml) {
    out << yamlText(version);
  } else {
    out << "berth " << kVersion << "\n";
  }
}

/// The verbs that need no daemon; false for the others.
bool answerAlone(const Arguments& args, std::ostream& out) {
  switch (args.verb) {
    case Verb::Completion:
      out << completionScript(args.name, commandTree());
      return true;
    case Verb::ManPage:
      out << manPage(commandTree());
      return true;
    case Verb::Version:
      printVersion(args.output, out);
      return true;
    default:
      return false;
  }
}

ExitStatus perform(Arguments args, const Surroundings& around) {
  if (answerAlone(args, around.out)) return ExitStatus::Done;
  if (const Result<void> read = readVmFiles(args.vm, around.in); !read)
    return printError(around.err, read.error());
  Result<std::vector<InputFile>> files = readInputFiles(args.files, around.in);
  if (!files) return printError(around.err, files.error());
  return Session(args, *std::move(files), around).run();
}

ExitStatus notice(const Notice& notice, const Surroundings& around) {
  (notice.status == ExitStatus::Done ? around.out : around.err) << notice.text;
  return notice.status;
}

}  // namespace

int run(int argc, const char* const* argv, const Surroundings& surroundings) {
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::variant<Arguments, Notice> parsed = parse(words);
  ExitStatus status = std::holds_alternative<Notice>(parsed)
                          ? notice(std::get<Notice>(parsed), surroundings)
                          : perform(std::get<Arguments>(parsed), surroundings);
  surroundings.out.flush();
  if (!surroundings.out.good()) {
    surroundings.err << "berth: the standard output cannot be written\n";
    status = ExitStatus::Failed;
  }
  return static_cast<int>(status);
}

}  // namespace berth::cli
