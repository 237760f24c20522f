#include "document.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "walrelay/core/escape.hpp"

namespace walrelay::config {

namespace {

// Far above any sink map, and small enough that nobody waits or runs out of memory.
constexpr std::size_t most_nodes = 100'000;
constexpr std::size_t most_bytes = 4U << 20;
constexpr std::size_t deepest = 64;

/// Thrown through the parser, caught in parse_document().
struct refused {
    document_fault fault;
};

mark mark_of(const YAML::Mark& at) {
    return {std::max(at.line, 0) + 1, std::max(at.column, 0) + 1};
}

[[noreturn]] void refuse(const YAML::Mark& at, std::string text) {
    throw refused{{mark_of(at), std::move(text)}};
}

/// Builds the tree from the parser's events. yaml-cpp's own tree takes duplicate keys silently,
/// knows no place for a value that is missing, and would have to be guarded against aliases.
class tree_builder final : public YAML::EventHandler {
public:
    [[nodiscard]] std::shared_ptr<const node> root() const { return root_; }

    void OnDocumentStart(const YAML::Mark& at) override {
        if (++documents_ > 1) refuse(at, "a second document starts here; a file holds one");
    }

    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& at, YAML::anchor_t anchor) override {
        if (expects_key()) refuse(at, "a key must be a string; put it in quotes");
        place(at, remember(anchor, std::make_shared<node>()), false);
    }

    void OnAlias(const YAML::Mark& at, YAML::anchor_t anchor) override {
        if (expects_key()) refuse(at, "a key must be a string, not an alias");
        const auto known = anchors_.find(anchor);
        if (known == anchors_.end()) refuse(at, "an alias can't stand inside what it stands for");
        place(at, known->second, true);
    }

    void OnScalar(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        refuse_tag(at, tag);
        auto value = std::make_shared<node>();
        value->kind = node_kind::scalar;
        value->text = text;
        value->bytes = text.size();
        remember(anchor, value);
        if (!expects_key()) return place(at, value, true);
        open_.back().has_key = true;
        open_.back().key = text;
        open_.back().key_at = mark_of(at);
    }

    void OnSequenceStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(node_kind::list, at, tag, anchor);
    }

    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(node_kind::map, at, tag, anchor);
    }

    void OnMapEnd() override { close(); }

private:
    struct open_node {
        std::shared_ptr<node> value;
        YAML::Mark at;
        YAML::anchor_t anchor = 0;
        bool has_key = false;
        std::string key;
        mark key_at;
    };

    [[nodiscard]] bool expects_key() const {
        return !open_.empty() && open_.back().value->kind == node_kind::map &&
               !open_.back().has_key;
    }

    static void refuse_tag(const YAML::Mark& at, const std::string& tag) {
        // "?" and "!" are yaml-cpp's names for plain and quoted scalars without a tag.
        if (!tag.empty() && tag != "?" && tag != "!") {
            refuse(
                at,
                "tags (!name) are not supported; secrets are written ${env:NAME} or ${file:/path}");
        }
    }

    std::shared_ptr<const node> remember(YAML::anchor_t anchor, std::shared_ptr<const node> value) {
        if (anchor != 0) anchors_[anchor] = value;
        return value;
    }

    void open(node_kind kind, const YAML::Mark& at, const std::string& tag, YAML::anchor_t anchor) {
        refuse_tag(at, tag);
        if (expects_key()) refuse(at, "a key must be a string, not a map or a list");
        if (open_.size() >= deepest) refuse(at, "nested too deep");
        auto value = std::make_shared<node>();
        value->kind = kind;
        open_.push_back({std::move(value), at, anchor, false, {}, {}});
    }

    void close() {
        const open_node done = std::move(open_.back());
        open_.pop_back();
        for (const child& below : done.value->children) {
            done.value->nodes += below.value->nodes;
            done.value->bytes += below.value->bytes;
        }
        place(done.at, remember(done.anchor, done.value), false);
    }

    /// `exact`, for scalars and aliases: the parser's mark is where the value stands. For a block
    /// map it is that of the first child, for nothing at all the next token; their key's mark
    /// serves.
    void place(const YAML::Mark& at, std::shared_ptr<const node> value, bool exact) {
        // What is below a container was counted when it was placed; an alias brings it all again.
        nodes_ += exact ? value->nodes : 1;
        bytes_ += exact ? value->bytes : 0;
        if (nodes_ > most_nodes)
            refuse(at, "too many values (aliases count each time they are used)");
        if (bytes_ > most_bytes)
            refuse(at, "too much text (aliases count each time they are used)");
        if (open_.empty()) {
            root_ = std::move(value);
            return;
        }
        open_node& parent = open_.back();
        child below{parent.key_at, parent.key, mark_of(at), std::move(value)};
        if (parent.value->kind == node_kind::list) {
            below.key_at = below.at;
        } else if (!exact) {
            below.at = below.key_at;
        }
        parent.has_key = false;
        parent.value->children.push_back(std::move(below));
    }

    int documents_ = 0;
    std::size_t nodes_ = 0;
    std::size_t bytes_ = 0;
    std::vector<open_node> open_;
    std::map<YAML::anchor_t, std::shared_ptr<const node>> anchors_;
    std::shared_ptr<const node> root_;
};

mark mark_at(std::string_view text, std::size_t offset) {
    const std::string_view before = text.substr(0, offset);
    const auto line = std::count(before.begin(), before.end(), '\n');
    const std::size_t start = before.rfind('\n') + 1;  // npos + 1 is 0
    return {static_cast<int>(line) + 1, static_cast<int>(offset - start) + 1};
}

/// The first line that a tab indents, unless it is blank or a comment. YAML forbids these, but
/// yaml-cpp's words for it ("illegal map value") help nobody.
std::optional<std::size_t> indenting_tab(std::string_view text) {
    for (std::size_t start = 0; start < text.size();) {
        const std::size_t newline = std::min(text.find('\n', start), text.size());
        const std::string_view line = text.substr(start, newline - start);
        const std::size_t content = line.find_first_not_of(" \t\r");
        if (content != std::string_view::npos && line[content] != '#') {
            const std::size_t tab = line.substr(0, content).find('\t');
            if (tab != std::string_view::npos) return start + tab;
        }
        start = newline + 1;
    }
    return std::nullopt;
}

std::size_t first_line_not_utf8(std::string_view text) {
    std::size_t start = 0;
    while (start < text.size()) {
        const std::size_t newline = std::min(text.find('\n', start), text.size());
        if (!is_utf8(text.substr(start, newline - start))) break;
        start = newline + 1;
    }
    return start;
}

std::optional<document_fault> fault_of_bytes(std::string_view text) {
    if (text.size() > longest_file_bytes) {
        return document_fault{{}, "larger than 1 MiB; a sink map is a few KiB"};
    }
    if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
        return document_fault{mark_at(text, nul), "a NUL byte; expected YAML in UTF-8"};
    }
    if (!is_utf8(text)) {
        return document_fault{mark_at(text, first_line_not_utf8(text)),
                              "this line is not UTF-8; expected YAML in UTF-8"};
    }
    if (const auto tab = indenting_tab(text)) {
        return document_fault{mark_at(text, *tab),
                              "a tab in the indentation; YAML takes spaces only"};
    }
    return std::nullopt;
}

/// yaml-cpp's text, without a name or character of the file that it may have put behind.
std::string described(const YAML::Exception& failure) {
    std::string_view text = failure.msg;
    for (const std::string_view cut :
         {YAML::ErrorMsg::UNKNOWN_ANCHOR, YAML::ErrorMsg::INVALID_UNICODE,
          YAML::ErrorMsg::INVALID_ESCAPE}) {
        if (text.starts_with(cut)) text = cut;
    }
    while (text.ends_with(' ') || text.ends_with(':'))
        text.remove_suffix(1);
    const bool open_quote = text == YAML::ErrorMsg::EOF_IN_SCALAR;
    return "not valid YAML: " + (open_quote ? "a quote is not closed" : std::string{text});
}

}  // namespace

document parse_document(std::string_view text) {
    if (auto fault = fault_of_bytes(text)) return {nullptr, std::move(fault)};
    try {
        // Without a comment at the end, yaml-cpp 0.7 takes a quoted text that is never closed, if
        // only a line break is the last character of the file: a cut file would pass for a whole
        // one.
        std::istringstream stream{std::string{text} + (text.ends_with('\n') ? "#" : "\n#")};
        YAML::Parser parser{stream};
        tree_builder builder;
        // Called until nothing is left: what stands behind the first document is an error, too.
        while (parser.HandleNextDocument(builder)) {
        }
        if (builder.root()) return {builder.root(), std::nullopt};
        return {std::make_shared<node>(), std::nullopt};
    } catch (const refused& failure) {
        return {nullptr, failure.fault};
    } catch (const YAML::Exception& failure) {
        return {nullptr, document_fault{mark_of(failure.mark), described(failure)}};
    }
}

}  // namespace walrelay::config
