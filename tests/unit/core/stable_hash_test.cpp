#include <string>

#include "support/catch.hpp"
#include "walrelay/core/stable_hash.hpp"

using walrelay::stable_hash;

TEST_CASE("the hash of a key is what walrelay.parked holds, in every version") {
    CHECK(stable_hash("") == 0x4E17CF67001B3979);
    CHECK(stable_hash("a") == 0x821C616D216BF260);
    CHECK(stable_hash("order-17") == 0xAF736FFACA2683CF);
    CHECK(stable_hash("order-177") == 0xE2A7247754A6EF9D);
    CHECK(stable_hash("customer 4711/ü") == 0xE376C5DFA97BDF0A);
}

TEST_CASE("keys that differ in one byte, or in their length alone, have other hashes") {
    CHECK(stable_hash("12345678") != stable_hash("12345679"));
    CHECK(stable_hash(std::string(8, '\0')) != stable_hash(std::string(9, '\0')));
    CHECK(stable_hash("") != stable_hash(std::string(1, '\0')));
}
