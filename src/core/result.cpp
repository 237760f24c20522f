#include "walrelay/core/result.hpp"

namespace walrelay {

std::string error::text() const {
    std::string text = operation;
    if (!object.empty()) text += (text.empty() ? "" : " ") + object;
    if (!cause.empty()) text += (text.empty() ? "" : ": ") + cause;
    if (!hint.empty()) text += ". Hint: " + hint;
    return text;
}

error_exception::error_exception(error what)
    : std::runtime_error{what.text()}, details_{std::move(what)} {}

void throw_exception_from_error(const error& what, const boost::source_location&) {
    throw error_exception{what};
}

}  // namespace walrelay
