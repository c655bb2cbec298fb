# `cmake --install build/release --prefix DIR`: the program, relocatable, and the libraries with their headers for those
# who embed them (find_package(sharpseek), examples/embed).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# LibTorch is looked for next to the program first (a bundle or an image puts it there), then where it was built with.
set_target_properties(sharpseek PROPERTIES
  INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/torch/lib;${SHARPSEEK_TORCH_DIR}/lib")
install(TARGETS sharpseek RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
# Of the images inside the program.
install(FILES ${PROJECT_SOURCE_DIR}/data/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT program)
if(SHARPSEEK_HAS_CUDA)  # the program looks for it next to itself
  set_target_properties(sharpseek_cuda PROPERTIES
    INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/torch/lib;${SHARPSEEK_TORCH_DIR}/lib")
  install(TARGETS sharpseek_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()

set(embedded sharpseek_core sharpseek_models sharpseek_data sharpseek_kernels sharpseek_lanes sharpseek_engine sharpseek_sharpness
             sharpseek_training sharpseek_flags sharpseek_torch)
install(TARGETS ${embedded} EXPORT sharpseek ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT sharpseek NAMESPACE sharpseek:: FILE sharpseekTargets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sharpseek COMPONENT development)
foreach(folder core models data engine sharpness training)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sharpseek
    COMPONENT development FILES_MATCHING PATTERN "*.h" PATTERN "*.inl")
endforeach()
install(DIRECTORY ${PROJECT_BINARY_DIR}/generated/engine DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/sharpseek
  COMPONENT development FILES_MATCHING PATTERN "*.h")
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/sharpseekConfig.cmake.in
  ${PROJECT_BINARY_DIR}/generated/sharpseekConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sharpseek)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/sharpseekConfigVersion.cmake
  COMPATIBILITY ExactVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/sharpseekConfig.cmake
              ${PROJECT_BINARY_DIR}/generated/sharpseekConfigVersion.cmake ${PROJECT_SOURCE_DIR}/cmake/LibTorch.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sharpseek COMPONENT development)
