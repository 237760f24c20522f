#include "walrelay/cli/commands.hpp"

int main(int argc, char** argv) {
    return walrelay::cli::main(argc, argv);
}
