#include "walrelay/pgoutput/encoder.hpp"

#include <cstdint>
#include <span>

namespace walrelay::pgoutput {

namespace {

template <class Integer>
void append_integer(std::string& out, Integer value) {
    for (std::size_t shift = sizeof(Integer) * 8; shift > 0; shift -= 8)
        out += static_cast<char>(static_cast<std::uint64_t>(value) >> (shift - 8));
}

void append_name(std::string& out, std::string_view name) {
    out += name;
    out += '\0';
}

}  // namespace

std::string encode_relation(const relation& table) {
    std::string out = "R";
    append_integer(out, table.id);
    append_name(out, table.schema == "pg_catalog" ? "" : table.schema);
    append_name(out, table.name);
    out += 'd';
    append_integer(out, static_cast<std::uint16_t>(table.columns.size()));
    for (const column& one : table.columns) {
        out += static_cast<char>(one.key ? 1 : 0);
        append_name(out, one.name);
        append_integer(out, one.type_oid);
        append_integer(out, std::uint32_t{UINT32_MAX});
    }
    return out;
}

std::string encode_insert(std::uint32_t relation_id, const tuple_view& row) {
    const std::span<const std::byte> columns = row.encoded();
    std::string out;
    out.reserve(1 + 4 + 1 + 2 + columns.size());
    out += 'I';
    append_integer(out, relation_id);
    out += 'N';
    append_integer(out, row.size());
    out.append(reinterpret_cast<const char*>(columns.data()), columns.size());
    return out;
}

}  // namespace walrelay::pgoutput
