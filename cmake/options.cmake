# What a build can be told; the presets in CMakePresets.json set these.
option(LH_WERROR "Warnings are errors (CI and developers; not a user's build)" OFF)
option(LH_TESTS "Build the tests" OFF)
option(LH_FUZZ "Build the fuzz targets (clang)" OFF)
option(LH_BENCH "Build the benchmarks' load generators" OFF)
set(LH_SANITIZE "" CACHE STRING "address (with undefined), thread, or nothing")

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(LH_CCACHE ccache)
if(LH_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${LH_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LH_CCACHE})
endif()
