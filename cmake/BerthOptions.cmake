# The only place with compiler flags, and the functions every module is made with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(BERTH_CCACHE ccache)
if(BERTH_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${BERTH_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${BERTH_CCACHE})
endif()
find_package(PkgConfig REQUIRED)

option(BERTH_WERROR "Warnings are errors" ON)
option(BERTH_FUZZ "Build the fuzz targets (clang only)" OFF)
option(BERTH_CORE_ONLY "Build only the modules that need no adapter; what the sanitizer builds test" OFF)
set(BERTH_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, for example address,undefined")

add_library(berth_options INTERFACE)
target_compile_options(berth_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Wold-style-cast>
  # At -O3 g++ 12 takes "text" + std::string for overlapping copies (GCC bug 105651).
  $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>
  $<$<BOOL:${BERTH_WERROR}>:-Werror>
  -fstack-protector-strong)
target_compile_definitions(berth_options INTERFACE
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_link_options(berth_options INTERFACE -Wl,-z,relro,-z,now)
find_program(BERTH_MOLD mold)
if(BERTH_MOLD AND NOT BERTH_FUZZ)
  target_link_options(berth_options INTERFACE -fuse-ld=mold)
endif()
if(BERTH_SANITIZE)
  target_compile_options(berth_options INTERFACE
    -fsanitize=${BERTH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -U_FORTIFY_SOURCE)
  target_link_options(berth_options INTERFACE -fsanitize=${BERTH_SANITIZE})
endif()
if(BERTH_FUZZ)
  target_compile_options(berth_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# berth_reads_source_tree(FILES...): defines BERTH_SOURCE_DIR in these files of the current folder and in no other, so
# that two checkouts share what the compiler cache holds for the rest.
function(berth_reads_source_tree)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_DEFINITIONS BERTH_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endfunction()

# berth_library(name SOURCES ... DEPENDS ... LINKS ... TESTS ... TEST_LINKS ...)
# makes the static library berth_<name> with the alias berth::<name>. DEPENDS names other modules of
# ours, LINKS (private) third-party targets. TESTS become one program, <name>_test, whose cases CTest
# knows one by one under the label "unit".
function(berth_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINKS;TESTS;TEST_LINKS" ${ARGN})
  list(TRANSFORM ARG_DEPENDS PREPEND berth::)
  add_library(berth_${name} STATIC ${ARG_SOURCES})
  add_library(berth::${name} ALIAS berth_${name})
  target_include_directories(berth_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(berth_${name} PUBLIC ${ARG_DEPENDS} PRIVATE berth_options ${ARG_LINKS})
  if(ARG_TESTS)
    berth_test(${name}_test SOURCES ${ARG_TESTS} LINKS berth::${name} ${ARG_TEST_LINKS})
  endif()
endfunction()

# berth_test(name SOURCES ... LINKS ...): a GoogleTest program, label "unit".
function(berth_test name)
  if(NOT BUILD_TESTING)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gmock GTest::gtest_main berth_options)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS unit TIMEOUT 120 SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
endfunction()

# berth_fuzz(name SOURCES ... LINKS ... CORPUS dir): with BERTH_FUZZ a libFuzzer program fuzz_<name>;
# otherwise the same property replayed over the committed corpus as the unit test fuzz_<name>.
function(berth_fuzz name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;LINKS" ${ARGN})
  if(BERTH_FUZZ)
    add_executable(fuzz_${name} ${ARG_SOURCES})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  elseif(BUILD_TESTING)
    add_executable(fuzz_${name} ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.cpp)
    set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME fuzz_corpus_${name} COMMAND fuzz_${name} ${ARG_CORPUS})
    set_tests_properties(fuzz_corpus_${name} PROPERTIES LABELS unit TIMEOUT 60)
  else()
    return()
  endif()
  target_include_directories(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LINKS} berth_options)
endfunction()
