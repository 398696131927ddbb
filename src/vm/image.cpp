#include "vm/image.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.h"
#include "os/files.h"
#include "vm/json.h"

namespace berth::vm {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::string_view kNew = ".new-";
constexpr std::size_t kMetadataLimit = std::size_t{64} * 1024;
constexpr std::size_t kProgressLimit = std::size_t{1024} * 1024;
constexpr mode_t kFolderMode = 0711;
constexpr std::uint64_t kSpareBytes = std::uint64_t{64} << 20U;
constexpr std::chrono::milliseconds kProgressPause{200};
constexpr std::size_t kSha256Digits = 64;

Result<void> checkName(const std::string& name) {
  if (isDnsName(name) && name.find('.') == std::string::npos) return {};
  return fail(ErrorCode::InvalidArgument, "\"" + name + "\" is not a name: a-z, 0-9 and '-', at most 63");
}

Result<ImageBytes> readEnds(const fs::path& file, std::string& head, std::string& tail) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return fail(ErrorCode::NotFound, file.string() + " is not a file");
  const std::uint64_t size = fs::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  head.resize(std::min<std::uint64_t>(size, kProbeHead));
  tail.resize(std::min<std::uint64_t>(size, kProbeTail));
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  in.seekg(static_cast<std::streamoff>(size - tail.size()));
  in.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  if (error || !in) return fail(ErrorCode::Io, "cannot read " + file.string());
  return ImageBytes{head, tail, size};
}

/// How qemu-img is told of a file: the driver by name, so that it guesses nothing.
std::string named(const fs::path& file, ImageFormat format) {
  json::object node{{"driver", qemuName(format)},
                    {"file", {{"driver", "file"}, {"filename", file.string()}}}};
  // Without this QEMU takes the size of a VHD from its geometry, which is rounded.
  if (format == ImageFormat::Vhd) node["force_size_calc"] = "current_size";
  return "json:" + json::serialize(node);
}

/// Reports progress from a file that qemu-img writes, until told to stop.
class ProgressReader {
 public:
  ProgressReader(fs::path file, const std::function<void(int)>& progress)
      : thread_([file = std::move(file), &progress](const std::stop_token& stop) {
          int last = -1;
          while (!stop.stop_requested()) {
            const auto text = os::readFile(file, kProgressLimit);
            const int now = text ? lastProgress(*text) : 0;
            if (now != last && progress) progress(now);
            last = now;
            std::this_thread::sleep_for(kProgressPause);
          }
        }) {}

 private:
  std::jthread thread_;
};

}  // namespace

int lastProgress(std::string_view text) {
  const std::size_t end = text.rfind("/100%)");
  const std::size_t open = text.substr(0, end).rfind('(');
  if (end == std::string_view::npos || open == std::string_view::npos) return 0;
  int percent = 0;
  std::from_chars(text.data() + open + 1, text.data() + end, percent);
  return std::clamp(percent, 0, 100);
}

std::string printImageInfo(const ImageInfo& info) {
  return json::serialize(json::object{{"name", info.name},
                                      {"os", info.os == GuestOs::Windows ? "Windows" : "Linux"},
                                      {"hyperVGeneration", info.generation == Generation::V2 ? "V2" : "V1"},
                                      {"osState", info.generalized ? "Generalized" : "Specialized"},
                                      {"virtualBytes", static_cast<std::int64_t>(info.virtual_bytes)},
                                      {"sha256", info.sha256}});
}

Result<ImageInfo> parseImageInfo(std::string_view text) {
  const auto corrupt = [](Error error) {
    error.code = ErrorCode::Corrupt;
    return fail(std::move(error));
  };
  const auto value = parseJson(text, "image.json");
  if (!value) return corrupt(value.error());
  FieldReader fields(*value, "image.json");
  ImageInfo info;
  info.name = fields.text("name");
  info.os = fields.text("os") == "Windows" ? GuestOs::Windows : GuestOs::Linux;
  info.generation = fields.text("hyperVGeneration") == "V2" ? Generation::V2 : Generation::V1;
  info.generalized = fields.text("osState") != "Specialized";
  info.virtual_bytes =
      static_cast<std::uint64_t>(fields.number("virtualBytes", 0, std::numeric_limits<std::int64_t>::max()));
  info.sha256 = fields.text("sha256");
  if (const auto done = fields.finish(); !done) return corrupt(done.error());
  return info;
}

fs::path ImageStore::imageFile(const std::string& name) const {
  return root_ / "images" / name / "disk.qcow2";
}
fs::path ImageStore::diskFile(const std::string& name) const { return root_ / "disks" / (name + ".qcow2"); }

Result<std::string> ImageStore::tool(std::vector<std::string> argv, Deadline deadline) {
  os::ProcessSpec spec;
  spec.argv = std::move(argv);
  TRY(auto result, runner_.run(spec, deadline).during(spec.argv.front()));
  if (result.status.success()) return std::move(result.output);
  const std::string words(trim(result.errors));
  if (words.find("No space left on device") != std::string::npos) {
    return fail(Error{ErrorCode::Refused, "the disk is full: " + words, "DiskFull", {}});
  }
  return fail(ErrorCode::Io, spec.argv.front() + " " + os::describe(result.status) + ": " + words);
}

Result<ImageStore::DiskFacts> ImageStore::facts(const fs::path& file, Deadline deadline) {
  TRY(const auto text,
      tool({"qemu-img", "info", "-U", "--output=json", named(file, ImageFormat::Qcow2)}, deadline));
  TRY(const auto value, parseJson(text, "qemu-img info"));
  const json::object* object = value.if_object();
  const json::value* size = object == nullptr ? nullptr : object->if_contains("virtual-size");
  if (size == nullptr || !size->is_int64()) return fail(ErrorCode::Corrupt, "qemu-img info tells no size");
  const json::value* backing = object->if_contains("backing-filename");
  return DiskFacts{static_cast<std::uint64_t>(size->get_int64()),
                   backing != nullptr && backing->is_string() ? std::string(backing->get_string()) : ""};
}

Result<void> ImageStore::checkSpace(const std::string& source, Deadline deadline) {
  TRY(const auto text, tool({"qemu-img", "measure", "--output=json", "-O", "qcow2", source}, deadline));
  TRY(const auto value, parseJson(text, "qemu-img measure"));
  const json::object* object = value.if_object();
  const json::value* required = object == nullptr ? nullptr : object->if_contains("required");
  if (required == nullptr || !required->is_int64()) {
    return fail(ErrorCode::Corrupt, "qemu-img measure tells no size");
  }
  std::error_code error;
  const auto space = fs::space(root_, error);
  const std::uint64_t needed = static_cast<std::uint64_t>(required->get_int64()) + kSpareBytes;
  if (!error && space.available < needed) {
    return fail(Error{ErrorCode::Refused,
                      "the image needs " + std::to_string(needed >> 20U) + " MiB; free are " +
                          std::to_string(space.available >> 20U) + " MiB on " + root_.string(),
                      "DiskFull",
                      {}});
  }
  return {};
}

Result<void> ImageStore::convert(const ImageSource& source, const ImageProbe& probe, const fs::path& folder,
                                 const std::function<void(int)>& progress, Deadline deadline) {
  const std::string from = named(source.file, probe.format);
  TRY_VOID(checkSpace(from, deadline));
  const fs::path progress_file = folder / "progress";
  const ProgressReader reader(progress_file, progress);
  os::ProcessSpec spec;
  // qemu-img tells its progress on stdout only; a shell puts that into a file that can be read meanwhile.
  spec.argv = {"/bin/sh", "-c",          "out=$1; shift; exec \"$@\" >\"$out\"",
               "sh",      progress_file, "qemu-img",
               "convert", "-p",          "-O",
               "qcow2",   from,          folder / "disk.qcow2"};
  TRY_VOID(tool(std::move(spec.argv), deadline));
  return os::removeTree(progress_file);
}

Result<ImageInfo> ImageStore::import(const ImageSource& source, const std::function<void(int)>& progress,
                                     Deadline deadline) {
  ImageInfo info = source.info;
  TRY_VOID(checkName(info.name));
  if (find(info.name)) return fail(ErrorCode::Conflict, "there is an image " + info.name + " already");
  std::string head;
  std::string tail;
  TRY(const auto bytes, readEnds(source.file, head, tail));
  TRY(const auto probe,
      probeImage(bytes, toLower(source.file.extension().string())).during(source.file.filename().string()));
  TRY(const auto sum, tool({"sha256sum", "--binary", "--", source.file}, deadline));
  // A leading backslash says that the name was escaped.
  info.sha256 = sum.substr(sum.starts_with('\\') ? 1 : 0, kSha256Digits);
  if (!source.info.sha256.empty() && toLower(source.info.sha256) != info.sha256) {
    return fail(Error{
        ErrorCode::InvalidArgument,
        source.file.filename().string() + " has the checksum " + info.sha256 + ", not " + source.info.sha256,
        "ChecksumMismatch",
        {}});
  }
  const fs::path folder = root_ / "images" / (std::string(kNew) + info.name);
  TRY_VOID(os::removeTree(folder));
  TRY_VOID(os::ensureDirectory(folder, kFolderMode));
  const auto finish = [&]() -> Result<void> {
    TRY_VOID(convert(source, probe, folder, progress, deadline));
    TRY(const auto made, facts(folder / "disk.qcow2", deadline));
    info.virtual_bytes = made.bytes;
    TRY_VOID(os::writeFileAtomically(folder / "image.json", printImageInfo(info), 0644));
    std::error_code error;
    fs::rename(folder, root_ / "images" / info.name, error);
    if (error) return fail(errnoError(error.value(), "rename", folder.string()));
    return {};
  };
  if (auto done = finish(); !done) {
    static_cast<void>(os::removeTree(folder));
    return fail(std::move(done).during("importing " + info.name).error());
  }
  if (progress) progress(100);
  return info;
}

Result<std::vector<ImageInfo>> ImageStore::list() const {
  std::vector<ImageInfo> images;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_ / "images", error)) {
    if (entry.path().filename().string().starts_with(kNew)) continue;
    TRY(auto info, find(entry.path().filename().string()));
    images.push_back(std::move(info));
  }
  std::sort(images.begin(), images.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return images;
}

Result<ImageInfo> ImageStore::find(const std::string& name) const {
  TRY_VOID(checkName(name));
  const auto text = os::readFile(root_ / "images" / name / "image.json", kMetadataLimit);
  if (!text && text.error().code == ErrorCode::NotFound) {
    return fail(Error{ErrorCode::NotFound, "there is no image " + name, "UnknownImage", {}});
  }
  if (!text) return fail(text.error());
  return parseImageInfo(*text);
}

Result<void> ImageStore::removeImage(const std::string& name) {
  TRY_VOID(checkName(name));
  return os::removeTree(root_ / "images" / name);
}

Result<void> ImageStore::makeDisk(const std::string& disk, std::vector<std::string> arguments,
                                  Deadline deadline) {
  TRY_VOID(os::ensureDirectory(root_ / "disks", kFolderMode));
  const fs::path made = root_ / "disks" / (std::string(kNew) + disk);
  TRY_VOID(os::removeTree(made));
  std::vector<std::string> argv{"qemu-img", "create", "-q", "-f", "qcow2"};
  // Options, then the file, then the size.
  const std::string size = std::move(arguments.back());
  arguments.pop_back();
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  argv.push_back(made);
  argv.push_back(size);
  if (auto created = tool(std::move(argv), deadline); !created) {
    static_cast<void>(os::removeTree(made));
    return fail(created.error());
  }
  std::error_code error;
  fs::rename(made, diskFile(disk), error);
  if (error) return fail(errnoError(error.value(), "rename", made.string()));
  return {};
}

Result<void> ImageStore::createClone(const std::string& disk, const std::string& image, std::uint64_t bytes,
                                     Deadline deadline) {
  TRY_VOID(checkName(disk));
  TRY(const auto info, find(image));
  const std::uint64_t size = bytes == 0 ? info.virtual_bytes : bytes;
  if (size < info.virtual_bytes) {
    return fail(ErrorCode::InvalidArgument, "a disk of image " + image + " has at least " +
                                                std::to_string(info.virtual_bytes) + " bytes");
  }
  if (fs::exists(diskFile(disk))) {
    TRY(const auto there, facts(diskFile(disk), deadline));
    if (there.backing == imageFile(image).string()) return {};
    return fail(ErrorCode::Conflict, "there is a disk " + disk + " already");
  }
  return makeDisk(disk, {"-F", "qcow2", "-b", imageFile(image), std::to_string(size)}, deadline);
}

Result<void> ImageStore::createDisk(const std::string& disk, std::uint64_t bytes, Deadline deadline) {
  TRY_VOID(checkName(disk));
  if (bytes == 0 || bytes % kProbeTail != 0) {
    return fail(ErrorCode::InvalidArgument, "a disk's size is a multiple of 512 bytes");
  }
  if (fs::exists(diskFile(disk))) {
    TRY(const auto there, facts(diskFile(disk), deadline));
    if (there.backing.empty() && there.bytes == bytes) return {};
    return fail(ErrorCode::Conflict, "there is a disk " + disk + " already");
  }
  return makeDisk(disk, {std::to_string(bytes)}, deadline);
}

Result<void> ImageStore::growDisk(const std::string& disk, std::uint64_t bytes, Deadline deadline) {
  TRY_VOID(checkName(disk));
  if (!fs::exists(diskFile(disk))) return fail(ErrorCode::NotFound, "there is no disk " + disk);
  TRY(const auto there, facts(diskFile(disk), deadline));
  if (there.bytes == bytes) return {};
  if (bytes < there.bytes || bytes % kProbeTail != 0) {
    return fail(ErrorCode::InvalidArgument, "disk " + disk + " has " + std::to_string(there.bytes) +
                                                " bytes and only grows, in steps of 512");
  }
  TRY_VOID(
      tool({"qemu-img", "resize", "-q", "-f", "qcow2", diskFile(disk), std::to_string(bytes)}, deadline));
  return {};
}

Result<void> ImageStore::removeDisk(const std::string& disk) {
  TRY_VOID(checkName(disk));
  return os::removeTree(diskFile(disk));
}

Result<void> ImageStore::cleanUp() {
  for (const char* folder : {"images", "disks"}) {
    std::error_code error;
    std::vector<fs::path> left;
    for (const auto& entry : fs::directory_iterator(root_ / folder, error)) {
      if (entry.path().filename().string().starts_with(kNew)) left.push_back(entry.path());
    }
    for (const fs::path& path : left) TRY_VOID(os::removeTree(path));
  }
  return {};
}

}  // namespace berth::vm
