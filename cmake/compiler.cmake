# Warnings are errors; the hardening flags hold for every build type.
add_library(walrelay_compiler INTERFACE)
target_compile_options(walrelay_compiler INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor -Wswitch-enum
    -Werror
    # GCC takes Asio's coroutine frames, which recycle their memory, for mismatched.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>
    -fstack-protector-strong -fstack-clash-protection
    $<$<STREQUAL:${CMAKE_SYSTEM_PROCESSOR},x86_64>:-fcf-protection>)
target_compile_definitions(walrelay_compiler INTERFACE
    _GLIBCXX_ASSERTIONS
    BOOST_ASIO_NO_DEPRECATED
    WALRELAY_VERSION="${PROJECT_VERSION}")
target_include_directories(walrelay_compiler INTERFACE ${PROJECT_SOURCE_DIR}/include)

set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)

if(WALRELAY_SANITIZE)
    add_compile_options(-fsanitize=${WALRELAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${WALRELAY_SANITIZE})
    # GCC's guesses at what is uninitialised go wrong around the checks that a sanitizer inserts, and
    # Asio's fences are nothing to ThreadSanitizer.
    target_compile_options(walrelay_compiler INTERFACE -Wno-maybe-uninitialized
        $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
    if(WALRELAY_SANITIZE_PURE)
        add_link_options(-fsanitize=${WALRELAY_SANITIZE_PURE})
    endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
    # _FORTIFY_SOURCE wants an optimised build, and hides reads from the sanitizers.
    target_compile_options(walrelay_compiler INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
