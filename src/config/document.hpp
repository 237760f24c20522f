// A YAML text as a plain tree with positions; the only thing that the rest of the reader sees of
// it.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walrelay::config {

/// Line and column in the file, 1-based; columns count bytes. 0:0 stands for the file as a whole.
struct mark {
    int line = 0;
    int column = 0;

    friend auto operator<=>(const mark&, const mark&) = default;
};

enum class node_kind : std::uint8_t { nothing, scalar, list, map };

struct node;

/// A value of a list or map, and where it is written. Aliases share one node but stand in different
/// places, which is why the place isn't in the node.
struct child {
    mark key_at;      ///< of the key; of a list's item: the same as `at`
    std::string key;  ///< empty in a list
    mark at;          ///< of a scalar or alias: itself; of a map or list under a key: that key
    std::shared_ptr<const node> value;
};

struct node {
    node_kind kind = node_kind::nothing;
    std::string text;             ///< of a scalar
    std::vector<child> children;  ///< in the order of the file, duplicate keys included
    std::size_t nodes = 1;        ///< this and all below, each alias counted as often as it is used
    std::size_t bytes = 0;        ///< of all scalars below, counted in the same way
};

/// What kept a text from becoming a tree.
struct document_fault {
    mark at;
    std::string text;
};

struct document {
    std::shared_ptr<const node> root;  ///< null exactly if there is a fault
    std::optional<document_fault> fault;
};

/// The largest file that is read.
constexpr std::size_t longest_file_bytes = 1U << 20;

/// One YAML document. Anything that isn't one is a fault, and so are texts above the limits: file
/// size, depth, and nodes or bytes after aliases have been followed (an alias bomb costs nothing,
/// because nothing is copied). Takes time in proportion to the text.
[[nodiscard]] document parse_document(std::string_view text);

}  // namespace walrelay::config
