# LibTorch as four imported libraries, from the pip wheel or a LibTorch folder. find_package(Torch) is not used: it
# ignores CMAKE_CUDA_ARCHITECTURES, needs a CUDA toolkit even for CPU programs, and adds flags to every target.
if(NOT SHARPSEEK_TORCH_DIR AND DEFINED ENV{SHARPSEEK_TORCH_DIR})
  set(SHARPSEEK_TORCH_DIR $ENV{SHARPSEEK_TORCH_DIR})
endif()
if(NOT SHARPSEEK_TORCH_DIR)
  set(SHARPSEEK_TORCH_DIR "" CACHE PATH "A torch folder with include/ and lib/ (pip wheel's torch, or LibTorch)")
endif()
if(NOT SHARPSEEK_TORCH_DIR AND SKBUILD)
  # pip runs the Python of the environment that the wheel goes into, also when it hides what is installed there.
  execute_process(COMMAND ${Python_EXECUTABLE} -c "import sysconfig; print(sysconfig.get_path('platlib'))"
    OUTPUT_VARIABLE platlib OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(EXISTS ${platlib}/torch/lib/libtorch_cpu.so)
    set(SHARPSEEK_TORCH_DIR ${platlib}/torch)
  else()
    message(FATAL_ERROR "${platlib} has no torch: pip install torch first (docs/install.md has the versions that are "
      "tested), or pip install ./analysis, which reads results only")
  endif()
endif()
if(NOT SHARPSEEK_TORCH_DIR)
  file(GLOB candidates ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  list(LENGTH candidates found)
  if(found EQUAL 0)
    message(FATAL_ERROR "No LibTorch: run ./lab setup, or give -DSHARPSEEK_TORCH_DIR=<folder with include/ and lib/>")
  endif()
  list(GET candidates 0 SHARPSEEK_TORCH_DIR)
endif()
if(NOT EXISTS ${SHARPSEEK_TORCH_DIR}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "SHARPSEEK_TORCH_DIR=${SHARPSEEK_TORCH_DIR} holds no lib/libtorch_cpu.so")
endif()
# version.h moved between releases; its macros stayed.
set(SHARPSEEK_TORCH_VERSION "")
foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
  if(EXISTS ${SHARPSEEK_TORCH_DIR}/include/${header} AND NOT SHARPSEEK_TORCH_VERSION)
    foreach(part MAJOR MINOR PATCH)
      file(STRINGS ${SHARPSEEK_TORCH_DIR}/include/${header} line REGEX "define TORCH_VERSION_${part} ")
      string(REGEX REPLACE ".* ([0-9]+).*" "\\1" number "${line}")
      list(APPEND SHARPSEEK_TORCH_VERSION ${number})
    endforeach()
    list(JOIN SHARPSEEK_TORCH_VERSION "." SHARPSEEK_TORCH_VERSION)
  endif()
endforeach()
string(REGEX REPLACE "^([0-9]+)\\.([0-9]+).*" "torch_\\1_\\2" SHARPSEEK_TORCH_FOLDER "${SHARPSEEK_TORCH_VERSION}")
message(STATUS "LibTorch ${SHARPSEEK_TORCH_VERSION} in ${SHARPSEEK_TORCH_DIR}")

# The CUDA ones serve the plug-in only (engine/cuda); their own dependencies may be absent where it is linked.
foreach(library c10 torch_cpu c10_cuda torch_cuda)
  add_library(torch::${library} SHARED IMPORTED GLOBAL)
  set_target_properties(torch::${library} PROPERTIES
    IMPORTED_LOCATION ${SHARPSEEK_TORCH_DIR}/lib/lib${library}.so
    INTERFACE_INCLUDE_DIRECTORIES
      "${SHARPSEEK_TORCH_DIR}/include;${SHARPSEEK_TORCH_DIR}/include/torch/csrc/api/include")
endforeach()
