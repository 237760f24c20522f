#include "capture.hpp"

#include <charconv>
#include <fstream>
#include <stdexcept>

namespace walrelay::pgoutput::test {

namespace {

byte_vector from_hex(const std::string& hex) {
    byte_vector bytes(hex.size() / 2);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        unsigned value = 0;
        const char* const first = hex.data() + 2 * i;
        if (std::from_chars(first, first + 2, value, 16).ptr != first + 2) {
            throw std::runtime_error{"not hex: " + hex};
        }
        bytes[i] = static_cast<std::byte>(value);
    }
    return bytes;
}

/// The lines of a fixture but for its comment.
std::vector<std::string> lines_of(const capture& from, const std::string& name) {
    const std::string path = std::string{WALRELAY_SOURCE_DIR "/tests/fixtures/pgoutput/"} +
                             from.folder + "/" + name + ".hex";
    std::ifstream file{path};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with('#')) lines.push_back(line);
    }
    if (lines.empty()) throw std::runtime_error{"nothing in " + path};
    return lines;
}

}  // namespace

byte_vector captured(const capture& from, const std::string& name) {
    std::string hex;
    for (const std::string& line : lines_of(from, name))
        hex += line;
    return from_hex(hex);
}

std::vector<byte_vector> captured_session(const capture& from) {
    std::vector<byte_vector> payloads;
    for (const std::string& line : lines_of(from, "session"))
        payloads.push_back(from_hex(line));
    return payloads;
}

wire& wire::text(std::string_view value) {
    return raw(value).u8(0);
}

wire& wire::raw(std::string_view value) {
    for (const char c : value)
        tag(c);
    return *this;
}

wire& wire::integer(std::uint64_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
        bytes_.push_back(static_cast<std::byte>(value >> shift));
    }
    return *this;
}

byte_vector in_frame(std::span<const std::byte> message) {
    byte_vector payload = wire{}.tag('w').u64(0).u64(0).u64(0).bytes();
    payload.insert(payload.end(), message.begin(), message.end());
    return byte_vector{payload.begin(), payload.end()};
}

}  // namespace walrelay::pgoutput::test
