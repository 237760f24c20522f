// Captured messages with random damage: the decoder answers, and what it accepts can be walked.
#include <chrono>
#include <cstring>
#include <random>

#include "capture.hpp"
#include "support/catch.hpp"
#include "walrelay/pgoutput/stream_reader.hpp"

namespace walrelay::pgoutput::test {

namespace {

constexpr int mutations_a_message = 2000;

std::uint64_t new_seed() {
    return static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
}

class mutator {
public:
    explicit mutator(std::uint64_t seed) : random_{seed} {}

    /// One to four times: a byte set, a bit flipped, a run left out, doubled or filled.
    byte_vector damaged(byte_vector bytes) {
        for (std::size_t times = 1 + below(4); times > 0; --times)
            damage(bytes);
        return byte_vector{bytes.begin(), bytes.end()};
    }

    std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

private:
    void damage(byte_vector& bytes) {
        if (bytes.empty()) return;
        const std::size_t at = below(bytes.size());
        const std::size_t size = 1 + below(std::min<std::size_t>(8, bytes.size() - at));
        const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at);
        const auto last = first + static_cast<std::ptrdiff_t>(std::min(size, bytes.size() - at));
        switch (below(6)) {
            case 0:
                *first = static_cast<std::byte>(random_());
                break;
            case 1:
                *first ^= static_cast<std::byte>(1U << below(8));
                break;
            case 2:
                bytes.erase(first, last);
                break;
            case 3: {
                const byte_vector run{first, last};
                bytes.insert(first, run.begin(), run.end());
                break;
            }
            case 4:
                std::fill(first, last, below(2) == 0 ? std::byte{0xFF} : std::byte{0});
                break;
            default:
                *first = static_cast<std::byte>("tnubKON"[below(7)]);
                break;
        }
    }

    std::mt19937_64 random_;
};

/// Reads every byte that a row shows, so that AddressSanitizer sees what is outside of the message.
std::size_t walk(const tuple_view& row) {
    std::size_t columns = 0;
    std::size_t sum = 0;
    for (const value_view value : row) {
        ++columns;
        for (const char c : value.text)
            sum += static_cast<unsigned char>(c);
    }
    CHECK(columns == row.size());
    return sum;
}

struct walk_message {
    std::size_t operator()(const insert& one) const { return walk(one.row); }

    std::size_t operator()(const update& one) const { return walk(one.old_row) + walk(one.row); }

    std::size_t operator()(const remove& one) const { return walk(one.old_row); }

    std::size_t operator()(const origin& one) const { return one.name.size(); }

    std::size_t operator()(const type& one) const { return one.schema.size() + one.name.size(); }

    std::size_t operator()(const begin& one) const { return one.xid; }

    std::size_t operator()(const commit& one) const { return one.end_lsn.value; }

    std::size_t operator()(const relation_view& one) const {
        std::size_t columns = 0;
        std::size_t sum = one.schema.size() + one.name.size();
        for (const column_view column : one.columns) {
            ++columns;
            sum += column.name.size() + column.type_oid;
        }
        CHECK(columns == one.columns.size());
        return sum;
    }

    std::size_t operator()(const truncate& one) const {
        std::size_t sum = 0;
        for (std::uint32_t i = 0; i < one.count; ++i)
            sum += one.relation_id(i);
        return sum;
    }

    std::size_t operator()(const logical_message& one) const {
        std::size_t sum = one.prefix.size();
        for (const std::byte byte : one.content)
            sum += std::to_integer<std::size_t>(byte);
        return sum;
    }
};

}  // namespace

TEST_CASE("random damage to a message gives a typed error or a message that can be walked") {
    const std::uint64_t seed = new_seed();
    CAPTURE(seed);
    mutator random{seed};
    std::size_t accepted = 0;
    std::size_t refused = 0;
    std::size_t sum = 0;
    for (const char* const name : message_names) {
        const byte_vector whole = captured(captures[1], name);
        for (int i = 0; i < mutations_a_message; ++i) {
            const byte_vector bytes = random.damaged(whole);
            const decoded<message> came = decode(bytes);
            if (came) {
                ++accepted;
                sum += std::visit(walk_message{}, *came);
            } else {
                ++refused;
                const protocol_error& failure = came.error();
                if (failure.offset > bytes.size() || std::strlen(failure.field) == 0) {
                    FAIL(failure.text());
                }
            }
        }
    }
    CAPTURE(sum);
    // Both happen often, or this test tests nothing.
    CHECK(accepted > 1000);
    CHECK(refused > 1000);
}

TEST_CASE("random damage to a session ends it with an error or leaves rows that can be walked") {
    const std::uint64_t seed = new_seed();
    CAPTURE(seed);
    mutator random{seed};
    std::size_t errors = 0;
    for (const capture& from : captures) {
        const std::vector<byte_vector> session = captured_session(from);
        for (int round = 0; round < 300; ++round) {
            stream_reader reader;
            const std::size_t victim = random.below(session.size());
            for (std::size_t i = 0; i < session.size(); ++i) {
                const byte_vector payload = i == victim ? random.damaged(session[i]) : session[i];
                const auto came = reader.read(payload);
                if (!came) {
                    ++errors;
                    break;  // the reader is thrown away with its connection
                }
                if (const auto* const row = std::get_if<row_inserted>(&*came)) {
                    walk(row->row);
                    CHECK(row->row.size() == (*row->table)->columns.size());
                }
            }
        }
    }
    CHECK(errors > 100);
}

}  // namespace walrelay::pgoutput::test
