# walrelay_module(NAME SOURCES file... DEPENDS library... [PRECOMPILE header...])
# A folder of src/ as one static library, walrelay_<NAME>. Headers of large libraries that most of its
# files include take longer than the files: they are compiled once.
function(walrelay_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;PRECOMPILE" ${ARGN})
    add_library(walrelay_${name} STATIC ${arg_SOURCES})
    target_link_libraries(walrelay_${name} PUBLIC walrelay_compiler ${arg_DEPENDS})
    target_precompile_headers(walrelay_${name} PRIVATE ${arg_PRECOMPILE})
    # Beast and coroutines take minutes with two sanitizers; these don't.
    if(WALRELAY_SANITIZE_PURE AND name MATCHES "^(core|pgoutput|event|engine|intake)$")
        target_compile_options(walrelay_${name} PRIVATE
            -fsanitize=${WALRELAY_SANITIZE_PURE} -fno-sanitize-recover=all)
    endif()
endfunction()

# walrelay_test(NAME SOURCES file... DEPENDS library... [LABELS label...])
# A Catch2 program of its own, test_<NAME>, known to ctest under that name.
function(walrelay_test name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
    add_executable(test_${name} ${arg_SOURCES})
    target_link_libraries(test_${name} PRIVATE walrelay_compiler walrelay_test_main ${arg_DEPENDS})
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(test_${name} PRIVATE WALRELAY_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    # Tests are compiled far longer than they run.
    target_compile_options(test_${name} PRIVATE -O0 -U_FORTIFY_SOURCE)
    target_precompile_headers(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/catch.hpp)
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
endfunction()
