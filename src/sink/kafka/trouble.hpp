// What is wrong with a sink as a whole, and when to say so.
#pragma once

#include <optional>
#include <string>

namespace walrelay::sink::kafka {

/// A trouble is worth a notice only while records wait: an idle relay whose broker restarts is
/// well. It is over with the next delivery.
class trouble {
public:
    /// Something went wrong. The newest text counts.
    void happened(std::string text) {
        if (text_ == text) return;
        text_ = std::move(text);
        told_newest_ = false;
    }

    /// Another notice was given, which is no trouble: the next one says again what is.
    void talked_over() noexcept {
        shown_ = true;
        told_newest_ = false;
    }

    /// A record was delivered.
    void over() noexcept { text_.clear(); }

    [[nodiscard]] bool any() const noexcept { return !text_.empty(); }

    /// The notice to give now, if any; empty for "it is over". `records_wait`: there is work that
    /// the trouble holds up.
    [[nodiscard]] std::optional<std::string> notice(bool records_wait) {
        if (any() && records_wait) {
            if (shown_ && told_newest_) return std::nullopt;
            shown_ = told_newest_ = true;
            return text_;
        }
        if (!shown_) return std::nullopt;
        shown_ = false;
        return std::string();
    }

private:
    std::string text_;          ///< empty: all is well
    bool shown_ = false;        ///< the last notice given was not empty
    bool told_newest_ = false;  ///< and had this text
};

}  // namespace walrelay::sink::kafka
