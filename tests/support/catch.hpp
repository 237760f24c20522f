// Catch2 version 2 or 3, whichever is installed.
#pragma once

#include <boost/system/result.hpp>
#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>

using Catch::Matchers::ContainsSubstring;
#else
#include <catch2/catch.hpp>

inline auto ContainsSubstring(const std::string& part) {
    return Catch::Contains(part);
}
#endif

namespace Catch {

/// Without this Catch finds result's own operator<<, which needs one of the value.
template <class T, class E>
struct StringMaker<boost::system::result<T, E>> {
    static std::string convert(const boost::system::result<T, E>& shown) {
        return shown.has_value() ? "a value" : "an error";
    }
};

}  // namespace Catch
