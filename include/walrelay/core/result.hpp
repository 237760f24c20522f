// How every fallible operation of walrelay answers.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>

namespace walrelay {

/// What went wrong, told to the person who has to mend it. Never holds a payload or a secret.
struct error {
    std::string operation;  ///< what was tried: "start replication"
    std::string object;     ///< on what: "slot \"walrelay\""; may be empty
    std::string cause;      ///< what came back, in one line
    std::string hint;       ///< the option, setting or SQL that mends it; may be empty

    /// "operation object: cause. Hint: hint", without the parts that are empty.
    [[nodiscard]] std::string text() const;
};

/// Thrown by result::value() on a failure, and by start-up code that has nobody to return to.
class error_exception : public std::runtime_error {
public:
    explicit error_exception(error what);

    [[nodiscard]] const error& details() const noexcept { return details_; }

private:
    error details_;
};

[[noreturn]] void throw_exception_from_error(const error& what,
                                             const boost::source_location& where);

template <class T>
using result = boost::system::result<T, error>;

}  // namespace walrelay
