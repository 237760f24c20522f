# walrelay_module(NAME SOURCES file... DEPENDS library...)
# A folder of src/ as one static library, walrelay_<NAME>.
function(walrelay_module name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
    add_library(walrelay_${name} STATIC ${arg_SOURCES})
    target_link_libraries(walrelay_${name} PUBLIC walrelay_compiler ${arg_DEPENDS})
endfunction()

# walrelay_test(NAME SOURCES file... DEPENDS library... [LABELS label...])
# A Catch2 program of its own, test_<NAME>, known to ctest under that name.
function(walrelay_test name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LABELS" ${ARGN})
    add_executable(test_${name} ${arg_SOURCES})
    target_link_libraries(test_${name} PRIVATE walrelay_compiler walrelay_test_main ${arg_DEPENDS})
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(test_${name} PRIVATE WALRELAY_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
endfunction()
