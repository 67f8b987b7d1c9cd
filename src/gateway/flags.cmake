# The console's page becomes part of the program.
set(lh_console ${CMAKE_BINARY_DIR}/generated/console_page.c)
add_custom_command(OUTPUT ${lh_console}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/web/index.html -DOUTPUT=${lh_console}
            -DSYMBOL=lh_console_page -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${CMAKE_SOURCE_DIR}/web/index.html ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
target_sources(lh_gateway PRIVATE ${lh_console})
