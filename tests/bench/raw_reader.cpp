// When each row comes out of the walsender: the least that any relay can take.
#include <iostream>

#include "arrivals.hpp"
#include "replication_reader.hpp"

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: bench_raw_reader CONNINFO SLOT PUBLICATION FILE\n"
                     "notes key and time of each row until SIGTERM\n";
        return 2;
    }
    try {
        walrelay::bench::catch_stop_signals();
        walrelay::bench::arrivals noted;
        walrelay::bench::replication_reader reader(argv[1]);
        reader.start(argv[2], argv[3]);
        while (!walrelay::bench::stop_requested()) {
            reader.read(100, [&](const walrelay::bench::row& taken) { noted.note(taken.key); });
        }
        noted.write(argv[4]);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "bench_raw_reader: " << error.what() << '\n';
        return 1;
    }
}
