#include "walrelay/cli/commands.hpp"
int walrelay::cli::main(int, char**) { return 0; }
