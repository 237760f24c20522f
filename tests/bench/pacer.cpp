// Commits one outbox row at a time, at a steady rate, and notes when each COMMIT was sent.
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include <libpq-fe.h>
#include <time.h>

#include "arrivals.hpp"

namespace {

void execute(PGconn* connection, const std::string& statement) {
    const std::unique_ptr<PGresult, void (*)(PGresult*)> answer(
        PQexec(connection, statement.c_str()), PQclear);
    if (PQresultStatus(answer.get()) != PGRES_COMMAND_OK) {
        throw std::runtime_error(PQerrorMessage(connection));
    }
}

void wait_until(std::int64_t time_ns) {
    const timespec time{time_ns / 1'000'000'000, time_ns % 1'000'000'000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) == EINTR) {
    }
}

void pace(const char* conninfo, long rate, long count, const char* file) {
    const std::unique_ptr<PGconn, void (*)(PGconn*)> connection(PQconnectdb(conninfo), PQfinish);
    if (PQstatus(connection.get()) != CONNECTION_OK) {
        throw std::runtime_error(PQerrorMessage(connection.get()));
    }
    walrelay::bench::arrivals commits;
    const std::string text(240, 'x');
    const std::int64_t start = walrelay::bench::now_ns();
    for (long number = 0; number < count; ++number) {
        wait_until(start + number * 1'000'000'000 / rate);
        const std::string key = std::to_string(number);
        execute(connection.get(),
                "BEGIN; INSERT INTO walrelay.outbox (topic, key, payload) VALUES ('bench', '" +
                    key + "', '{\"number\": " + key + ", \"text\": \"" + text + "\"}')");
        commits.note(key);
        execute(connection.get(), "COMMIT");
    }
    commits.write(file);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: bench_pacer CONNINFO COMMITS_PER_SECOND COMMITS FILE\n";
        return 2;
    }
    try {
        pace(argv[1], std::atol(argv[2]), std::atol(argv[3]), argv[4]);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "bench_pacer: " << error.what() << '\n';
        return 1;
    }
}
