# What `pip install .` puts into the package (pyproject.toml): the extension and the program, each for one minor version of
# torch, whose libraries lie next to the package in the same site-packages.
if(NOT SKBUILD)
  return()
endif()
add_custom_target(sharpseek_wheel DEPENDS sharpseek_curvature)
if(TARGET sharpseek)
  add_dependencies(sharpseek_wheel sharpseek)
  set_target_properties(sharpseek PROPERTIES INSTALL_RPATH "$ORIGIN/../../../torch/lib")
  install(TARGETS sharpseek RUNTIME DESTINATION sharpseek/native/${SHARPSEEK_TORCH_FOLDER} COMPONENT wheel)
endif()
