#include "sink/http/response_reader.hpp"

#include "support/catch.hpp"

using namespace walrelay::sink::http;
using namespace std::chrono_literals;

namespace {

/// Gives `bytes` in pieces of `size`, as a slow network would; returns what was left over.
std::string feed(response_reader& reader, std::string_view bytes, std::size_t size) {
    std::string held;
    for (std::size_t at = 0; at < bytes.size() && reader.fault().empty(); at += size) {
        held.append(bytes.substr(at, size));
        held.erase(0, reader.take(held));
    }
    return held;
}

constexpr std::string_view full_answer =
    "HTTP/1.1 503 Whatever\r\nRetry-After: 7\r\nLocation: /x\r\nKeep-Alive: max=9, Timeout=11\r\n"
    "Content-Length: 5\r\n\r\nhello";

}  // namespace

TEST_CASE("an answer is read the same in pieces of every size") {
    for (std::size_t size = 1; size <= full_answer.size(); ++size) {
        CAPTURE(size);
        response_reader reader;
        CHECK(feed(reader, full_answer, size).empty());
        CHECK(reader.fault().empty());
        CHECK(reader.done());
        CHECK(reader.status() == 503);
        CHECK(reader.retry_after() == 7s);
        CHECK(reader.idle_timeout() == 11s);
        CHECK(reader.location() == "/x");
        CHECK(reader.keeps_connection());
        CHECK(reader.body_taken() == 5);
    }
}

TEST_CASE("one reader reads one answer after the other and forgets between them") {
    response_reader reader;
    const std::string left = feed(reader, std::string{full_answer} + "HTTP/1.1 204 No", 1000);
    CHECK(left == "HTTP/1.1 204 No");
    reader.restart();
    CHECK_FALSE(reader.head_done());
    feed(reader, "HTTP/1.0 200 OK\r\n\r\n", 1000);
    CHECK(reader.status() == 200);
    CHECK_FALSE(reader.retry_after().has_value());
    CHECK_FALSE(reader.idle_timeout().has_value());
    CHECK(reader.location().empty());
    CHECK_FALSE(reader.keeps_connection());
}

TEST_CASE("C2: of several Retry-After headers the longest holds, garbage aside") {
    response_reader reader;
    feed(reader, "HTTP/1.1 429 x\r\nRetry-After: 5\r\nretry-after: soon\r\nRETRY-AFTER: 9\r\n\r\n",
         1000);
    CHECK(reader.retry_after() == 9s);
}

TEST_CASE("C3: what is no HTTP answer is found out, whatever its form") {
    for (const std::string& bytes :
         {std::string{"hello, who is there?\r\n"}, std::string{"HTTP/0.9 200 OK\r\n\r\n"},
          std::string{"HTTP/2.0 200 OK\r\n\r\n"}, std::string{"HTTP/1.1 2000 OK\r\n\r\n"},
          std::string{"HTTP/1.1 20 OK\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n", 25},
          std::string{"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", 26},
          std::string{"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"},
          std::string{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
          "HTTP/1.1 200 OK\r\nA: " + std::string(100'000, 'x')}) {
        CAPTURE(bytes.substr(0, 60));
        response_reader reader;
        feed(reader, bytes, 1000);
        CHECK_FALSE(reader.fault().empty());
    }
}

TEST_CASE("C3: a bad chunk spoils the body, not the head before it") {
    response_reader reader;
    feed(reader, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 1);
    CHECK(reader.head_done());
    CHECK(reader.status() == 200);
    CHECK_FALSE(reader.fault().empty());
    CHECK_FALSE(reader.done());
}
