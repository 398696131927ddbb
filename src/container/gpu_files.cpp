#include "container/gpu_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <system_error>

namespace berth::container {

namespace {

namespace fs = std::filesystem;

struct Library {
  std::string_view stem;
  std::string_view soname;  // Empty: the versioned name is the soname.
};

constexpr std::array kLibraries{
    Library{"libcuda", "libcuda.so.1"},
    Library{"libcudadebugger", "libcudadebugger.so.1"},
    Library{"libnvcuvid", "libnvcuvid.so.1"},
    Library{"libnvidia-allocator", "libnvidia-allocator.so.1"},
    Library{"libnvidia-cfg", "libnvidia-cfg.so.1"},
    Library{"libnvidia-compiler", ""},
    Library{"libnvidia-encode", "libnvidia-encode.so.1"},
    Library{"libnvidia-fatbinaryloader", ""},
    Library{"libnvidia-gpucomp", ""},
    Library{"libnvidia-ml", "libnvidia-ml.so.1"},
    Library{"libnvidia-nvvm", "libnvidia-nvvm.so.4"},
    Library{"libnvidia-opencl", "libnvidia-opencl.so.1"},
    Library{"libnvidia-opticalflow", "libnvidia-opticalflow.so.1"},
    Library{"libnvidia-ptxjitcompiler", "libnvidia-ptxjitcompiler.so.1"},
};
constexpr std::array<std::string_view, 4> kPrograms{"nvidia-smi", "nvidia-cuda-mps-control",
                                                    "nvidia-cuda-mps-server", "nvidia-debugdump"};
constexpr std::string_view kMainDevice = "nvidiactl";
constexpr std::array<std::string_view, 2> kFurtherDevices{"nvidia-uvm", "nvidia-uvm-tools"};

std::vector<std::string> libraryFolders() {
  const std::string triplet(architectureTriplet());
  return {"lib",
          "usr/lib/" + triplet,
          "lib/" + triplet,
          "usr/lib64",
          "lib64",
          "usr/lib/" + triplet + "/nvidia/current",
          "usr/lib"};
}

// The library a file name belongs to: "libcuda.so.535.54" to libcuda, "libcudart.so" to none.
const Library* libraryOf(std::string_view name) {
  const auto found = std::find_if(kLibraries.begin(), kLibraries.end(), [name](const Library& library) {
    const std::string prefix = std::string(library.stem) + ".so";
    return name == prefix || name.starts_with(prefix + ".");
  });
  return found == kLibraries.end() ? nullptr : &*found;
}

// Every regular file of a folder, links resolved; what cannot be read is not there.
std::vector<DriverFile> listFolder(const fs::path& folder) {
  std::vector<DriverFile> files;
  std::error_code ec;
  for (fs::directory_iterator entry(folder, ec), end; !ec && entry != end; entry.increment(ec)) {
    std::error_code unreadable;
    const fs::path real = fs::canonical(entry->path(), unreadable);
    if (unreadable || !fs::is_regular_file(real, unreadable)) continue;
    files.push_back({real.string(), entry->path().filename().string()});
  }
  return files;
}

bool has(const std::vector<DriverFile>& files, std::string_view name) {
  return std::any_of(files.begin(), files.end(),
                     [name](const DriverFile& file) { return file.name == name; });
}

Result<std::vector<DriverFile>> findLibraries(const fs::path& root) {
  for (const std::string& folder : libraryFolders()) {
    auto libraries = selectLibraries(listFolder(root / folder));
    if (has(libraries, "libcuda.so.1") && has(libraries, "libnvidia-ml.so.1")) return libraries;
  }
  return fail(ErrorCode::Unavailable, "driver root " + root.string() +
                                          ": no library folder has both libcuda.so.1 and libnvidia-ml.so.1");
}

std::vector<DriverFile> findPrograms(const fs::path& root) {
  std::vector<DriverFile> programs;
  for (const std::string_view name : kPrograms) {
    for (const char* folder : {"bin", "usr/bin"}) {
      std::error_code ec;
      const fs::path real = fs::canonical(root / folder / name, ec);
      if (ec || !fs::is_regular_file(real, ec)) continue;
      programs.push_back({real.string(), std::string(name)});
      break;
    }
  }
  return programs;
}

Result<std::vector<std::string>> findControlDevices(const fs::path& dev) {
  std::error_code ec;
  if (!fs::exists(dev / kMainDevice, ec)) {
    return fail(ErrorCode::Unavailable,
                (dev / kMainDevice).string() + " is missing: the driver's kernel module is not loaded");
  }
  std::vector<std::string> devices{(dev / kMainDevice).string()};
  for (const std::string_view name : kFurtherDevices) {
    if (fs::exists(dev / name, ec)) devices.push_back((dev / name).string());
  }
  return devices;
}

}  // namespace

std::vector<DriverFile> selectLibraries(const std::vector<DriverFile>& folder) {
  std::map<std::string, std::string> sources;
  for (const DriverFile& file : folder) {
    if (libraryOf(file.name) != nullptr) sources[file.name] = file.source;
  }
  // The newest version's file, the last by name, stands in for a soname that no link has.
  for (auto file = folder.begin(); file != folder.end(); ++file) {
    const Library* library = libraryOf(file->name);
    if (library == nullptr || library->soname.empty() || has(folder, library->soname)) continue;
    std::string& source = sources[std::string(library->soname)];
    source = std::max(source, file->source);
  }
  std::vector<DriverFile> libraries;
  libraries.reserve(sources.size());
  for (const auto& [name, source] : sources) libraries.push_back({source, name});
  return libraries;
}

Result<DriverFiles> findDriverFiles(const fs::path& root, bool simulated, const fs::path& dev) {
  DriverFiles files;
  files.simulated = simulated;
  TRY(files.libraries, findLibraries(root));
  files.programs = findPrograms(root);
  if (simulated) return files;
  TRY(files.control_devices, findControlDevices(dev));
  return files;
}

std::string_view architectureTriplet() {
#if defined(__x86_64__)
  return "x86_64-linux-gnu";
#elif defined(__aarch64__)
  return "aarch64-linux-gnu";
#else
#error "the library folder of this architecture is not known"
#endif
}

}  // namespace berth::container
