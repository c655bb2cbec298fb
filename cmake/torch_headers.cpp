// Holds the precompiled header of all targets that include ATen; see Targets.cmake.
