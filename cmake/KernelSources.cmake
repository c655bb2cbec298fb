# sharpseek_kernel_sources(<output.cpp> <root header>): a C++ source with the text of the header and of all that it
# includes, so that kernels can be compiled at run time where no sources are (engine/cuda/kernel_sources.h). Headers of the
# standard library are those of engine/cuda/rtc, in which every file is one.
function(sharpseek_kernel_sources output root)
  set(waiting ${root})
  set(found "")
  set(bodies "")
  file(GLOB standard CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/engine/cuda/rtc/*)
  foreach(path ${standard})
    get_filename_component(name ${path} NAME)
    sharpseek_kernel_source(bodies ${name} ${path})
  endforeach()
  while(waiting)
    list(POP_FRONT waiting header)
    if(header IN_LIST found)
      continue()
    endif()
    list(APPEND found ${header})
    set(path ${PROJECT_SOURCE_DIR}/${header})
    if(NOT EXISTS ${path})
      set(path ${PROJECT_BINARY_DIR}/generated/${header})  # written by CMake
    endif()
    sharpseek_kernel_source(bodies ${header} ${path})
    file(STRINGS ${path} includes REGEX "^#include \"")
    # What no compiler for a GPU reads.
    list(FILTER includes EXCLUDE REGEX "engine/kernels/lane_vector.h")
    list(TRANSFORM includes REPLACE "^#include \"([^\"]+)\".*" "\\1")
    list(APPEND waiting ${includes})
  endwhile()
  file(WRITE ${output}.new "#include \"engine/cuda/kernel_sources.h\"

namespace sharpseek::lanes {

std::span<const KernelSource> kernel_sources() {
  static constexpr KernelSource kSources[] = {
${bodies}};
  return kSources;
}

}  // namespace sharpseek::lanes
")
  configure_file(${output}.new ${output} COPYONLY)
endfunction()

# Appends one file to the rows of the table.
function(sharpseek_kernel_source rows name path)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  file(READ ${path} text)
  set(${rows} "${${rows}}{\"${name}\", R\"KERNEL(${text})KERNEL\"},\n" PARENT_SCOPE)
endfunction()
