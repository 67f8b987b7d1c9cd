# Libraries from Debian's packages, and libduckdb from where tools/bootstrap put it (DUCKDB_DIR
# overrides). Each is a target of its own, so a layer names just what it uses.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CURL REQUIRED)

function(lh_pkg name module)
  pkg_check_modules(LH_${name} REQUIRED IMPORTED_TARGET ${module})
  add_library(lh_dep_${name} INTERFACE)
  target_link_libraries(lh_dep_${name} INTERFACE PkgConfig::LH_${name})
endfunction()
lh_pkg(jansson jansson)
lh_pkg(microhttpd libmicrohttpd)
lh_pkg(sqlite sqlite3)
lh_pkg(zstd libzstd)
lh_pkg(expat expat)

# xxhash and toml++ are used as headers only.
find_path(LH_XXHASH_INCLUDE xxhash.h REQUIRED)
find_path(LH_TOMLPP_INCLUDE toml++/toml.h REQUIRED)

if(DEFINED ENV{DUCKDB_DIR})
  set(lh_duckdb_dir $ENV{DUCKDB_DIR})
else()
  set(lh_duckdb_dir ${CMAKE_SOURCE_DIR}/build/duckdb)
endif()
find_path(LH_DUCKDB_INCLUDE duckdb.h PATHS ${lh_duckdb_dir}/include ${lh_duckdb_dir} NO_DEFAULT_PATH)
find_library(LH_DUCKDB_LIBRARY duckdb PATHS ${lh_duckdb_dir}/lib ${lh_duckdb_dir} NO_DEFAULT_PATH)
if(NOT LH_DUCKDB_INCLUDE OR NOT LH_DUCKDB_LIBRARY)
  message(FATAL_ERROR "libduckdb is not in ${lh_duckdb_dir}: run tools/bootstrap, or set DUCKDB_DIR")
endif()
message(STATUS "libduckdb: ${LH_DUCKDB_LIBRARY}")
add_library(lh_duckdb_imported SHARED IMPORTED)
set_target_properties(lh_duckdb_imported PROPERTIES
    IMPORTED_LOCATION ${LH_DUCKDB_LIBRARY} IMPORTED_SONAME libduckdb.so)
add_library(lh_dep_duckdb INTERFACE)
target_link_libraries(lh_dep_duckdb INTERFACE lh_duckdb_imported)
target_include_directories(lh_dep_duckdb SYSTEM INTERFACE ${LH_DUCKDB_INCLUDE})
