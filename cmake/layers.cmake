# lh_layer(name DEPENDS libraries...): the library lh_<name> from all sources of src/<name>.
function(lh_layer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS
       ${CMAKE_SOURCE_DIR}/src/${name}/*.c ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  if(sources)
    add_library(lh_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(lh_${name} PRIVATE lh_flags)
  else()
    add_library(lh_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(lh_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(lh_${name} ${scope} ${ARG_DEPENDS})
  # A program that needs its own instruction set per file says so here, in the folder's flags.cmake.
  include(${CMAKE_SOURCE_DIR}/src/${name}/flags.cmake OPTIONAL)
endfunction()

# lh_program(name [USES layer]): the program <name> from src/cmd/<name>.c (dashes become underscores).
function(lh_program name)
  cmake_parse_arguments(ARG "" "USES" "" ${ARGN})
  if(NOT ARG_USES)
    set(ARG_USES ${name})
  endif()
  string(REPLACE "-" "_" file ${name})
  set(source ${CMAKE_SOURCE_DIR}/src/cmd/${file}.c)
  if(NOT EXISTS ${source})
    message(STATUS "no ${source} yet")
    return()
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE lh_flags lh_${ARG_USES})
  # Programs find libduckdb in ../lib beside them, wherever the tree is installed.
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/lakehouse")
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

install(FILES ${LH_DUCKDB_LIBRARY} DESTINATION lib/lakehouse)
