#include "support/postgres_cluster.hpp"

#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace walrelay::test {

namespace fs = std::filesystem;

namespace {

/// The interval between two looks at a condition that has a deadline.
void look_again_in(std::chrono::milliseconds interval) {
    ::poll(nullptr, 0, static_cast<int>(interval.count()));
}

using clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error{"postgres_cluster: " + what};
}

std::string output_of(const char* command) {
    std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(command, "r"), ::pclose};
    std::array<char, 512> line{};
    if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return {};
    std::string text{line.data()};
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

fs::path find_binaries() {
    std::vector<fs::path> candidates;
    if (const char* const given = std::getenv("WALRELAY_PG_BIN")) candidates.emplace_back(given);
    if (std::string folder = output_of("pg_config --bindir 2>/dev/null"); !folder.empty()) {
        candidates.emplace_back(folder);
    }
    std::vector<fs::path> packaged;
    std::error_code none;
    for (const auto& each : fs::directory_iterator{"/usr/lib/postgresql", none}) {
        packaged.push_back(each.path() / "bin");
    }
    std::sort(packaged.rbegin(), packaged.rend());
    candidates.insert(candidates.end(), packaged.begin(), packaged.end());
    for (const fs::path& each : candidates) {
        if (fs::exists(each / "initdb")) return each;
    }
    fail("no Postgres server binaries; set WALRELAY_PG_BIN to the folder of initdb");
}

/// In the child: gives up root for postgres.
bool become_postgres() {
    if (::geteuid() != 0) return true;
    const passwd* const user = ::getpwnam("postgres");
    return user != nullptr && ::setgid(user->pw_gid) == 0 && ::setuid(user->pw_uid) == 0;
}

void give_to_postgres(const fs::path& path) {
    if (::geteuid() != 0) return;
    const passwd* const user = ::getpwnam("postgres");
    if (user == nullptr) fail("initdb refuses root, and there is no user postgres");
    if (::chown(path.c_str(), user->pw_uid, user->pw_gid) != 0) fail("chown " + path.string());
}

using link_handle = std::unique_ptr<PGconn, void (*)(PGconn*)>;
using result_handle = std::unique_ptr<PGresult, void (*)(PGresult*)>;

}  // namespace

int free_port() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    const bool bound = ::bind(listener, generic, size) == 0;
    if (!bound || ::getsockname(listener, generic, &size) != 0) fail("no free port");
    ::close(listener);
    return ntohs(address.sin_port);
}

postgres_cluster::postgres_cluster(const options& wanted) {
    binaries_ = find_binaries();
    std::string pattern = (fs::temp_directory_path() / "walrelay-pg-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) fail("mkdtemp " + pattern);
    folder_ = pattern;
    try {
        give_to_postgres(folder_);
        initialise(wanted);
        start();
    } catch (...) {
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
        throw;
    }
}

postgres_cluster::~postgres_cluster() {
    if (server_ > 0 && !stop(stop_mode::immediate)) {
        ::kill(server_, SIGKILL);
        ::waitpid(server_, nullptr, 0);
    }
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
}

void postgres_cluster::initialise(const options& wanted) {
    const std::string data = (folder_ / "data").string();
    run(binaries_ / "initdb",
        {"-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"});
    port_ = free_port();
    std::ofstream settings{folder_ / "data/postgresql.conf", std::ios::app};
    settings << "listen_addresses = '127.0.0.1'\nport = " << port_
             << "\nunix_socket_directories = '" << folder_.string() << "'\n"
             << "fsync = off\nwal_level = logical\nmax_prepared_transactions = 10\n"
             << "max_wal_senders = 20\nmax_replication_slots = 20\n";
    if (wanted.tls) {
        const std::string key = (folder_ / "server.key").string();
        run("/usr/bin/openssl",
            {"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out",
             ca_file().string()});
        settings << "ssl = on\nssl_key_file = '" << key << "'\nssl_cert_file = '"
                 << ca_file().string() << "'\n";
        fs::permissions(ca_file(), fs::perms::others_read, fs::perm_options::add);
    }
    settings << wanted.settings << '\n';
    std::ofstream hba{folder_ / "data/pg_hba.conf", std::ios::trunc};
    hba << "local all all trust\n" << wanted.hba << "\nhost all all 127.0.0.1/32 trust\n";
}

void postgres_cluster::start() {
    server_ = spawn(binaries_ / "postgres", {"-D", (folder_ / "data").string()}, true);
    const auto deadline = clock::now() + std::chrono::seconds{30};
    while (PQping(socket_conninfo().c_str()) != PQPING_OK) {
        if (::waitpid(server_, nullptr, WNOHANG) == server_) {
            server_ = -1;
            std::ifstream log{log_file()};
            fail("the server ended: " + std::string{std::istreambuf_iterator<char>{log}, {}});
        }
        if (clock::now() > deadline) fail("the server doesn't get ready");
        look_again_in(std::chrono::milliseconds{20});
    }
}

bool postgres_cluster::stop(stop_mode how, std::chrono::milliseconds limit) {
    if (server_ <= 0) return true;
    const int signal = how == stop_mode::smart  ? SIGTERM
                       : how == stop_mode::fast ? SIGINT
                                                : SIGQUIT;
    ::kill(server_, signal);
    const auto deadline = clock::now() + limit;
    while (::waitpid(server_, nullptr, WNOHANG) != server_) {
        if (clock::now() > deadline) return false;
        look_again_in(std::chrono::milliseconds{5});
    }
    server_ = -1;
    return true;
}

std::string postgres_cluster::conninfo(const std::string& user, const std::string& database) const {
    return "host=127.0.0.1 port=" + std::to_string(port_) + " user=" + user + " dbname=" + database;
}

std::string postgres_cluster::socket_conninfo(const std::string& user,
                                              const std::string& database) const {
    return "host=" + folder_.string() + " port=" + std::to_string(port_) + " user=" + user +
           " dbname=" + database;
}

std::string postgres_cluster::sql(std::string_view text, const std::string& database) const {
    const link_handle link{PQconnectdb(socket_conninfo("postgres", database).c_str()), PQfinish};
    if (PQstatus(link.get()) != CONNECTION_OK) fail(PQerrorMessage(link.get()));
    PQsetNoticeProcessor(
        link.get(), [](void*, const char*) {}, nullptr);
    std::string cell;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(";\n"), text.size());
        const std::string statement{text.substr(0, end)};
        text.remove_prefix(std::min(end + 2, text.size()));
        if (statement.find_first_not_of(" \n") == std::string::npos) continue;
        const result_handle answer{PQexec(link.get(), statement.c_str()), PQclear};
        const ExecStatusType status = PQresultStatus(answer.get());
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
            fail(statement + ": " + PQerrorMessage(link.get()));
        }
        cell = PQntuples(answer.get()) > 0 ? PQgetvalue(answer.get(), 0, 0) : "";
    }
    return cell;
}

void postgres_cluster::run(const fs::path& program,
                           const std::vector<std::string>& arguments) const {
    const pid_t child = spawn(program, arguments, false);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (status == 0) return;
    std::ifstream log{log_file()};
    fail(program.string() + " failed: " + std::string{std::istreambuf_iterator<char>{log}, {}});
}

pid_t postgres_cluster::spawn(const fs::path& program, const std::vector<std::string>& arguments,
                              bool dies_with_us) const {
    std::vector<std::string> words{program.string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& each : words)
        argv.push_back(each.data());
    argv.push_back(nullptr);
    const std::string log = log_file().string();
    const std::string folder = folder_.string();
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child > 0) return child;
    if (!become_postgres()) ::_exit(126);
    // After setuid, which clears it. SIGQUIT is an immediate stop.
    if (dies_with_us) ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0 || ::chdir(folder.c_str()) != 0) {
        ::_exit(125);
    }
    ::setsid();  // Ctrl-C at the terminal is for the test
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
}

}  // namespace walrelay::test
