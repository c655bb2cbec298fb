add_library(sharpseek_torch INTERFACE)
target_link_libraries(sharpseek_torch INTERFACE torch::torch_cpu torch::c10)
set_target_properties(sharpseek_torch PROPERTIES EXPORT_NAME torch)

# One narrow precompiled header serves every target that includes ATen.
add_library(sharpseek_torch_headers STATIC ${PROJECT_SOURCE_DIR}/cmake/torch_headers.cpp)
target_link_libraries(sharpseek_torch_headers PRIVATE sharpseek_flags sharpseek_torch Eigen3::Eigen)
target_precompile_headers(sharpseek_torch_headers PRIVATE <ATen/ATen.h> <torch/csrc/autograd/autograd.h> <Eigen/Dense>
  <filesystem> <functional> <iostream> <map> <optional> <string> <vector>)
target_compile_options(sharpseek_torch_headers PRIVATE -Winvalid-pch)

# sharpseek_library(<folder> SOURCES ... [DEPENDS ...] [TORCH]): the static library sharpseek_<folder>. Its sources are compiled eight at
# a time, because headers cost more than our own lines; names in unnamed namespaces are therefore unique in a folder.
function(sharpseek_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(sharpseek_${name} STATIC ${ARG_SOURCES})
  set_target_properties(sharpseek_${name} PROPERTIES EXPORT_NAME ${name} UNITY_BUILD ${SHARPSEEK_UNITY}
    UNITY_BUILD_BATCH_SIZE 8)
  target_link_libraries(sharpseek_${name} PUBLIC sharpseek_flags ${ARG_DEPENDS})
  if(ARG_TORCH)
    target_link_libraries(sharpseek_${name} PUBLIC sharpseek_torch)
    target_precompile_headers(sharpseek_${name} REUSE_FROM sharpseek_torch_headers)
  endif()
endfunction()

# sharpseek_all_headers(<folder>): the header <folder>/all.h, which includes every header of the folder: what is added there
# is compiled everywhere without a line elsewhere.
function(sharpseek_all_headers folder)
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${folder}/*.h)
  list(SORT headers)
  list(TRANSFORM headers REPLACE "(.+)" "#include \"\\1\"\n")
  list(JOIN headers "" includes)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/${folder}/all.h CONTENT "#pragma once\n\n${includes}" @ONLY)
endfunction()

# All test executables: what the sanitizers build.
add_custom_target(sharpseek_tests)

# sharpseek_run_tests(<folder> <label> <filter> <shards>): the tests of <folder>_test that the filter names, in so many processes.
# A process for each test would load LibTorch a thousand times, which takes longer than the tests. Each process writes its results
# to tests/results.
function(sharpseek_run_tests name label filter shards)
  math(EXPR last "${shards} - 1")
  foreach(shard RANGE ${last})
    set(test ${name}_${label}_${shard})
    add_test(NAME ${test} COMMAND ${name}_test --gtest_filter=${filter}
      --gtest_output=xml:${PROJECT_BINARY_DIR}/tests/results/${test}.xml)
    string(COMPARE EQUAL ${label} gpu serial)
    set_tests_properties(${test} PROPERTIES LABELS ${label} TIMEOUT 3600 RUN_SERIAL ${serial}
      ENVIRONMENT "GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${shard}")
  endforeach()
endfunction()

# sharpseek_test(<folder> SOURCES ... [DEPENDS ...] [SHARDS n] [TORCH]): the executable <folder>_test, run in n processes; tests whose
# suite ends in "Slow" carry the label slow, those of instances named Gpu the label gpu, all others fast.
function(sharpseek_test name)
  cmake_parse_arguments(ARG "TORCH" "SHARDS" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  add_dependencies(sharpseek_tests ${name}_test)
  target_link_libraries(${name}_test PRIVATE sharpseek_flags ${ARG_DEPENDS} GTest::gtest_main GTest::gmock)
  # Tests' own code is not where time is spent; Eigen's templates take half as long to compile.
  target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O1>)
  target_compile_definitions(${name}_test PRIVATE SHARPSEEK_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data")
  if(ARG_TORCH)
    target_link_libraries(${name}_test PRIVATE sharpseek_torch)
    target_precompile_headers(${name}_test REUSE_FROM sharpseek_torch_headers)
    set_target_properties(${name}_test PROPERTIES BUILD_RPATH ${SHARPSEEK_TORCH_DIR}/lib)
  endif()
  if(NOT ARG_SHARDS)
    set(ARG_SHARDS 1)
  endif()
  sharpseek_run_tests(${name} fast "-*Slow.*:Gpu/*" ${ARG_SHARDS})
  sharpseek_run_tests(${name} gpu "Gpu/*" 1)
  sharpseek_run_tests(${name} slow "*Slow.*" 1)
endfunction()
