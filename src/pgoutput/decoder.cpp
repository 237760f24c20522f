#include "walrelay/pgoutput/decoder.hpp"

#include <cstdint>
#include <string_view>

#include "walrelay/core/byte_reader.hpp"

namespace walrelay::pgoutput {

namespace {

constexpr std::size_t value_least_bytes = 1;    // kind
constexpr std::size_t column_least_bytes = 10;  // flags, empty name, type oid, type modifier
constexpr std::size_t relation_id_bytes = 4;
constexpr std::uint8_t truncate_options_mask = 3;

/// Reads the fields of one message after its type byte and keeps the first failure with the name
/// and place of its field. After a failure every read gives zero or nothing.
class field_reader {
public:
    field_reader(std::span<const std::byte> message, char tag) noexcept
        : message_{message}, in_{message}, tag_{tag} {
        in_.u8();
    }

    [[nodiscard]] bool ok() const noexcept { return in_.ok(); }

    std::uint8_t u8(const char* field) noexcept { return checked(field, in_.u8()); }

    std::uint32_t u32(const char* field) noexcept { return checked(field, in_.u32()); }

    std::uint64_t u64(const char* field) noexcept { return checked(field, in_.u64()); }

    std::string_view c_string(const char* field) noexcept { return checked(field, in_.c_string()); }

    lsn position(const char* field) noexcept { return lsn{u64(field)}; }

    pg_time time(const char* field) noexcept {
        return pg_time{static_cast<std::int64_t>(u64(field))};
    }

    /// A byte that has to be 0 or 1.
    bool flag(const char* field) noexcept {
        const std::uint8_t value = u8(field);
        if (value > 1) reject(protocol_error::kind::bad_value, field, 1);
        return value == 1;
    }

    /// A count of at most 32767 (1600 in today's servers) things of at least `least_bytes` each.
    std::uint16_t count16(const char* field, std::size_t least_bytes) noexcept {
        const std::uint16_t count = checked(field, in_.u16());
        if (count > INT16_MAX)
            return reject(protocol_error::kind::bad_value, field, 2), std::uint16_t{};
        if (count > in_.remaining() / least_bytes) {
            return reject(protocol_error::kind::truncated, field, 2), std::uint16_t{};
        }
        return count;
    }

    /// `size` bytes.
    std::span<const std::byte> run(const char* field, std::size_t size) noexcept {
        return checked(field, in_.bytes(size));
    }

    /// Bytes behind their length, which is signed on the wire.
    std::span<const std::byte> sized_run(const char* length_field) noexcept {
        const std::uint32_t size = u32(length_field);
        if (size > INT32_MAX) reject(protocol_error::kind::bad_value, length_field, 4);
        if (size > in_.remaining()) reject(protocol_error::kind::truncated, length_field, 4);
        return in_.bytes(size);
    }

    tuple_view tuple() noexcept {
        const std::uint16_t count = count16("tuple.column_count", value_least_bytes);
        const std::size_t start = in_.offset();
        for (std::uint16_t i = 0; i < count && ok(); ++i) {
            const std::uint8_t kind = u8("tuple.kind");
            if (kind == 't') {
                sized_run("tuple.length");
            } else if (kind != 'n' && kind != 'u') {
                reject(protocol_error::kind::bad_value, "tuple.kind", 1);
            }
        }
        return {count, message_.subspan(start, in_.offset() - start)};
    }

    column_list columns() noexcept {
        const std::uint16_t count = count16("column_count", column_least_bytes);
        const std::size_t start = in_.offset();
        for (std::uint16_t i = 0; i < count && ok(); ++i) {
            flag("column.flags");
            c_string("column.name");
            u32("column.type_oid");
            u32("column.type_modifier");
        }
        return {count, message_.subspan(start, in_.offset() - start)};
    }

    /// Refuses the field of `field_bytes` that was read last, unless something failed before.
    void reject(protocol_error::kind what, const char* field, std::size_t field_bytes) noexcept {
        if (!in_.ok()) return;
        failure_ = {what, tag_, field, in_.offset() - field_bytes};
        in_.fail();
    }

    /// `decoded_message` if every field was there and nothing follows the last.
    template <class Message>
    decoded<message> finish(const Message& decoded_message) noexcept {
        if (!in_.ok()) return failure_;
        if (!in_.at_end()) {
            return protocol_error{protocol_error::kind::trailing_bytes, tag_, "end of message",
                                  in_.offset()};
        }
        return decoded<message>{boost::system::in_place_value, decoded_message};
    }

private:
    template <class Value>
    Value checked(const char* field, Value value) noexcept {
        // A failed read has not moved: the offset is that of the field. The first failure counts.
        if (!in_.ok() && failure_.field[0] == '\0') [[unlikely]] {
            failure_ = {protocol_error::kind::truncated, tag_, field, in_.offset()};
        }
        return value;
    }

    std::span<const std::byte> message_;
    byte_reader in_;
    protocol_error failure_;
    char tag_;
};

decoded<message> read_begin(field_reader& in) noexcept {
    begin read;
    read.commit_lsn = in.position("commit_lsn");
    read.commit_time = in.time("commit_time");
    read.xid = in.u32("xid");
    return in.finish(read);
}

decoded<message> read_commit(field_reader& in) noexcept {
    commit read;
    if (in.u8("flags") != 0) in.reject(protocol_error::kind::bad_value, "flags", 1);
    read.commit_lsn = in.position("commit_lsn");
    read.end_lsn = in.position("end_lsn");
    read.commit_time = in.time("commit_time");
    return in.finish(read);
}

decoded<message> read_origin(field_reader& in) noexcept {
    origin read;
    read.commit_lsn = in.position("commit_lsn");
    read.name = in.c_string("name");
    return in.finish(read);
}

decoded<message> read_relation(field_reader& in) noexcept {
    relation_view read;
    read.id = in.u32("relation_id");
    read.schema = in.c_string("schema");
    read.name = in.c_string("name");
    read.replica_identity = static_cast<char>(in.u8("replica_identity"));
    if (std::string_view{"dnfi"}.find(read.replica_identity) == std::string_view::npos) {
        in.reject(protocol_error::kind::bad_value, "replica_identity", 1);
    }
    read.columns = in.columns();
    return in.finish(read);
}

decoded<message> read_type(field_reader& in) noexcept {
    type read;
    read.oid = in.u32("type_oid");
    read.schema = in.c_string("schema");
    read.name = in.c_string("name");
    return in.finish(read);
}

decoded<message> read_insert(field_reader& in) noexcept {
    insert read;
    read.relation_id = in.u32("relation_id");
    if (in.u8("tuple_kind") != 'N') in.reject(protocol_error::kind::bad_value, "tuple_kind", 1);
    read.row = in.tuple();
    return in.finish(read);
}

decoded<message> read_update(field_reader& in) noexcept {
    update read;
    read.relation_id = in.u32("relation_id");
    std::uint8_t kind = in.u8("tuple_kind");
    if (kind == 'K' || kind == 'O') {
        read.old_kind = static_cast<char>(kind);
        read.old_row = in.tuple();
        kind = in.u8("tuple_kind");
    }
    if (kind != 'N') in.reject(protocol_error::kind::bad_value, "tuple_kind", 1);
    read.row = in.tuple();
    return in.finish(read);
}

decoded<message> read_remove(field_reader& in) noexcept {
    remove read;
    read.relation_id = in.u32("relation_id");
    read.old_kind = static_cast<char>(in.u8("tuple_kind"));
    if (read.old_kind != 'K' && read.old_kind != 'O') {
        in.reject(protocol_error::kind::bad_value, "tuple_kind", 1);
    }
    read.old_row = in.tuple();
    return in.finish(read);
}

decoded<message> read_truncate(field_reader& in) noexcept {
    truncate read;
    const std::uint32_t count = in.u32("table_count");
    if (count == 0 || count > INT32_MAX) {
        in.reject(protocol_error::kind::bad_value, "table_count", 4);
    }
    read.count = count;
    read.options = in.u8("options");
    if ((read.options & ~truncate_options_mask) != 0) {
        in.reject(protocol_error::kind::bad_value, "options", 1);
    }
    read.relation_ids = in.run("relation_ids", std::size_t{count} * relation_id_bytes);
    return in.finish(read);
}

decoded<message> read_logical_message(field_reader& in) noexcept {
    logical_message read;
    read.transactional = in.flag("flags");
    read.position = in.position("lsn");
    read.prefix = in.c_string("prefix");
    read.content = in.sized_run("content.length");
    return in.finish(read);
}

}  // namespace

decoded<message> decode(std::span<const std::byte> bytes) noexcept {
    if (bytes.empty()) {
        return protocol_error{protocol_error::kind::truncated, 0, "message type", 0};
    }
    const auto tag = static_cast<char>(bytes.front());
    field_reader in{bytes, tag};
    switch (tag) {
        case 'I':
            return read_insert(in);
        case 'B':
            return read_begin(in);
        case 'C':
            return read_commit(in);
        case 'R':
            return read_relation(in);
        case 'U':
            return read_update(in);
        case 'D':
            return read_remove(in);
        case 'T':
            return read_truncate(in);
        case 'M':
            return read_logical_message(in);
        case 'Y':
            return read_type(in);
        case 'O':
            return read_origin(in);
        default:
            break;
    }
    // Never skipped: a message that is not understood could hide rows.
    return protocol_error{protocol_error::kind::unknown_message, tag, "message type", 0};
}

}  // namespace walrelay::pgoutput
