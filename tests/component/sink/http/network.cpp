#include "network.hpp"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>

namespace walrelay::test {

namespace {

struct stand_in {
    stand_in_name::answer each;
    int asking = 0;
};

std::mutex mutex;
std::condition_variable answered;

std::map<std::string, stand_in>& stand_ins() {
    static std::map<std::string, stand_in> all;
    return all;
}

std::vector<std::string>& all_tried() {
    static std::vector<std::string> all;
    return all;
}

/// Of one address, allocated in one piece.
struct found_address {
    addrinfo info;
    sockaddr_storage address;
};

sockaddr_storage to_sockaddr(const std::string& address, std::uint16_t port, socklen_t& size) {
    sockaddr_storage out{};
    auto* const v4 = reinterpret_cast<sockaddr_in*>(&out);
    auto* const v6 = reinterpret_cast<sockaddr_in6*>(&out);
    if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        size = sizeof *v4;
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        size = sizeof *v6;
    } else {
        throw std::logic_error("not an address: " + address);
    }
    return out;
}

std::string text_of(const sockaddr* address) {
    char text[INET6_ADDRSTRLEN] = {};
    if (address->sa_family == AF_INET) {
        const auto* const v4 = reinterpret_cast<const sockaddr_in*>(address);
        ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        return std::string{text} + ":" + std::to_string(ntohs(v4->sin_port));
    }
    if (address->sa_family == AF_INET6) {
        const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(address);
        ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        return "[" + std::string{text} + "]:" + std::to_string(ntohs(v6->sin6_port));
    }
    return {};
}

addrinfo* list_of(const stand_in_name::endpoints& endpoints) {
    addrinfo* first = nullptr;
    addrinfo** next = &first;
    for (const auto& [address, port] : endpoints) {
        auto* const one = static_cast<found_address*>(std::calloc(1, sizeof(found_address)));
        one->address = to_sockaddr(address, port, one->info.ai_addrlen);
        one->info.ai_family = one->address.ss_family;
        one->info.ai_socktype = SOCK_STREAM;
        one->info.ai_protocol = IPPROTO_TCP;
        one->info.ai_addr = reinterpret_cast<sockaddr*>(&one->address);
        // Ours, and not one of libc's; see freeaddrinfo() below.
        one->info.ai_flags = AI_NUMERICSERV | AI_CANONNAME;
        *next = &one->info;
        next = &one->info.ai_next;
    }
    return first;
}

using connect_function = int(int, const sockaddr*, socklen_t);

template <class Function>
Function* of_libc(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

stand_in_name::stand_in_name(const std::string& name, answer each) : name_{name} {
    const std::lock_guard lock{mutex};
    stand_ins()[name].each = std::move(each);
}

stand_in_name::~stand_in_name() {
    std::unique_lock lock{mutex};
    answered.wait(lock, [&] { return stand_ins()[name_].asking == 0; });
    stand_ins().erase(name_);
}

connection_watch::connection_watch() {
    const std::lock_guard lock{mutex};
    before_ = all_tried().size();
}

std::vector<std::string> connection_watch::tried() const {
    const std::lock_guard lock{mutex};
    return {all_tried().begin() + static_cast<std::ptrdiff_t>(before_), all_tried().end()};
}

std::vector<std::string> connection_watch::tried_among(const std::vector<std::string>& some) const {
    std::vector<std::string> found = tried();
    std::erase_if(found, [&](const std::string& address) {
        return std::find(some.begin(), some.end(), address) == some.end();
    });
    return found;
}

black_hole::black_hole(const std::string& address) {
    socklen_t size = 0;
    sockaddr_storage where = to_sockaddr(address, 0, size);
    auto* const generic = reinterpret_cast<sockaddr*>(&where);
    listener_ = ::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener_ < 0 || ::bind(listener_, generic, size) != 0 || ::listen(listener_, 0) != 0 ||
        ::getsockname(listener_, generic, &size) != 0) {
        throw std::runtime_error("no free port on " + address);
    }
    port_ = ntohs(where.ss_family == AF_INET ? reinterpret_cast<sockaddr_in&>(where).sin_port
                                             : reinterpret_cast<sockaddr_in6&>(where).sin6_port);
    for (int i = 0; i < 4; ++i) {
        queued_.push_back(::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        of_libc<connect_function>("connect")(queued_.back(), generic, size);
    }
}

black_hole::~black_hole() {
    for (const int socket : queued_)
        ::close(socket);
    ::close(listener_);
}

}  // namespace walrelay::test

// What the program itself defines comes before what its libraries do.

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
    using namespace walrelay::test;
    const std::string asked = name != nullptr ? name : "";
    std::unique_lock lock{mutex};
    const auto known = stand_ins().find(asked);
    if (known == stand_ins().end()) {
        lock.unlock();
        return of_libc<decltype(getaddrinfo)>("getaddrinfo")(name, service, hints, found);
    }
    ++known->second.asking;
    const auto each = known->second.each;
    lock.unlock();
    *found = list_of(each());
    lock.lock();
    --stand_ins()[asked].asking;
    answered.notify_all();
    return *found != nullptr ? 0 : EAI_NONAME;
}

extern "C" void freeaddrinfo(addrinfo* list) noexcept {
    constexpr int ours = AI_NUMERICSERV | AI_CANONNAME;
    if (list == nullptr || list->ai_flags != ours)
        return walrelay::test::of_libc<void(addrinfo*)>("freeaddrinfo")(list);
    while (list != nullptr)
        std::free(std::exchange(list, list->ai_next));
}

extern "C" int connect(int socket, const sockaddr* address, socklen_t size) {
    using namespace walrelay::test;
    if (const std::string text = text_of(address); !text.empty()) {
        const std::lock_guard lock{mutex};
        all_tried().push_back(text);
    }
    return of_libc<connect_function>("connect")(socket, address, size);
}
