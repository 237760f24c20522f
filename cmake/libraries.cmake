# The libraries that the adapters stand on. Debian 12's versions are the oldest that are supported.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(nlohmann_json 3.9 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(rdkafka REQUIRED IMPORTED_TARGET rdkafka)

if(NOT TARGET yaml-cpp::yaml-cpp)  # before 0.8 the target has no namespace
    add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()
