# Build options and the flags that every target of ours is compiled with.
option(SHARPSEEK_WERROR "Treat warnings as errors" OFF)
option(SHARPSEEK_TESTS "Build the tests" ON)
option(SHARPSEEK_PROGRAM "Build the program; OFF leaves the Python extension (SHARPSEEK_BINDINGS) alone" ON)
option(SHARPSEEK_FUZZ "Build the fuzzers (clang only)" OFF)
option(SHARPSEEK_UNITY "Compile several sources of a folder at once, which takes half the time; OFF lists each for clang-tidy" ON)
set(SHARPSEEK_LANE_SETS all CACHE STRING
  "Instruction sets of the lane engine: all, native (scalar and those of this machine), or a list of scalar;sse42;avx2;avx512")
set(SHARPSEEK_SANITIZE "" CACHE STRING "Sanitizers, as in -fsanitize=...: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
# -O3 buys nothing outside the kernels, which ask for it themselves, and makes GCC 12 warn of overflows inside std::string
# that cannot happen (GCC bug 105329).
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers are cached only with these two kinds of sloppiness.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

add_library(sharpseek_flags INTERFACE)
target_compile_options(sharpseek_flags INTERFACE
  "$<BUILD_INTERFACE:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wnon-virtual-dtor;-Woverloaded-virtual>"
  $<BUILD_INTERFACE:$<$<BOOL:${SHARPSEEK_WERROR}>:-Werror>>)
target_compile_features(sharpseek_flags INTERFACE cxx_std_20)
set_target_properties(sharpseek_flags PROPERTIES EXPORT_NAME flags)
target_include_directories(sharpseek_flags INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>"
  "$<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>" $<INSTALL_INTERFACE:include/sharpseek>)
if(SHARPSEEK_SANITIZE)
  target_compile_options(sharpseek_flags INTERFACE -fsanitize=${SHARPSEEK_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(sharpseek_flags INTERFACE -fsanitize=${SHARPSEEK_SANITIZE})
endif()
