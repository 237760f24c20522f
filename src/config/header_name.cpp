#include "header_name.hpp"

namespace walrelay::config {

std::string lower_case(std::string_view name) {
    std::string out{name};
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

}  // namespace walrelay::config
