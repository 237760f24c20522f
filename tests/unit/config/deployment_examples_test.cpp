// The examples that run the relay: the unit file for systemd, and the pod for Kubernetes.
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "test_secrets.hpp"

namespace walrelay::config {

namespace {

std::string example(const std::string& path) {
    std::ifstream stream{std::string{WALRELAY_SOURCE_DIR} + "/config/" + path};
    REQUIRE(stream);
    return {std::istreambuf_iterator<char>{stream}, {}};
}

/// "Section.Key" → its values, in the order of the file.
std::map<std::string, std::vector<std::string>> unit_settings(const std::string& text) {
    std::map<std::string, std::vector<std::string>> out;
    std::istringstream lines{text};
    std::string section;
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() == '#') continue;
        if (line.front() == '[') {
            section = line.substr(1, line.find(']') - 1);
            continue;
        }
        const std::size_t equals = line.find('=');
        REQUIRE(equals != std::string::npos);
        out[section + "." + line.substr(0, equals)].push_back(line.substr(equals + 1));
    }
    return out;
}

/// The objects of the pod's file by kind and name.
std::map<std::string, YAML::Node> objects() {
    std::map<std::string, YAML::Node> out;
    for (const YAML::Node& each : YAML::LoadAll(example("kubernetes/pod.yaml"))) {
        const auto name =
            each["kind"].as<std::string>() + "/" + each["metadata"]["name"].as<std::string>();
        CHECK(out.emplace(name, each).second);
    }
    return out;
}

std::map<std::string, YAML::Node> containers(const YAML::Node& pod) {
    std::map<std::string, YAML::Node> out;
    for (const YAML::Node& each : pod["containers"])
        out.emplace(each["name"].as<std::string>(), each);
    return out;
}

/// Where a container has a volume of the pod; empty if it hasn't.
std::string mount_path(const YAML::Node& container, const std::string& volume) {
    for (const YAML::Node& each : container["volumeMounts"]) {
        if (each["name"].as<std::string>() == volume) return each["mountPath"].as<std::string>();
    }
    return {};
}

/// The objects that make pods.
std::map<std::string, YAML::Node> pod_makers() {
    std::map<std::string, YAML::Node> out;
    for (const auto& [name, object] : objects()) {
        if (object["spec"] && object["spec"]["template"]) out.emplace(name, object);
    }
    REQUIRE(out.size() == 2);
    return out;
}

YAML::Node pod_of(const YAML::Node& maker) {
    return maker["spec"]["template"]["spec"];
}

YAML::Node stateful_pod() {
    return pod_of(objects().at("StatefulSet/shop"));
}

}  // namespace

TEST_CASE("The systemd unit restarts the relay except where a restart can't help") {
    const auto unit = unit_settings(example("systemd/walrelay.service"));
    CHECK(unit.at("Service.Restart") == std::vector<std::string>{"on-failure"});
    std::istringstream list{unit.at("Service.RestartPreventExitStatus").at(0)};
    std::set<int> prevented;
    for (int code = 0; list >> code;)
        prevented.insert(code);
    CHECK(prevented == std::set<int>{2, 3, 4});
    CHECK(unit.at("Service.ExecStart").at(0).find("walrelay run -c /") != std::string::npos);
}

TEST_CASE("The systemd unit leaves the relay nothing that it doesn't need") {
    const auto unit = unit_settings(example("systemd/walrelay.service"));
    const std::map<std::string, std::string> expected{{"User", "walrelay"},
                                                      {"NoNewPrivileges", "yes"},
                                                      {"CapabilityBoundingSet", ""},
                                                      {"ProtectSystem", "strict"},
                                                      {"ProtectHome", "yes"},
                                                      {"PrivateTmp", "yes"},
                                                      {"PrivateDevices", "yes"},
                                                      {"RestrictNamespaces", "yes"},
                                                      {"MemoryDenyWriteExecute", "yes"}};
    for (const auto& [key, value] : expected) {
        INFO(key);
        REQUIRE(unit.count("Service." + key) == 1);
        CHECK(unit.at("Service." + key) == std::vector<std::string>{value});
    }
}

TEST_CASE("Postgres and the relay share the socket's folder in the pod") {
    const YAML::Node pod = stateful_pod();
    const auto all = containers(pod);
    REQUIRE(all.size() == 2);
    for (const auto& [name, container] : all) {
        INFO(name);
        CHECK(mount_path(container, "socket") == "/var/run/postgresql");
    }
    bool is_empty_dir = false;
    for (const YAML::Node& volume : pod["volumes"]) {
        if (volume["name"].as<std::string>() == "socket")
            is_empty_dir = volume["emptyDir"].IsDefined();
    }
    CHECK(is_empty_dir);
}

TEST_CASE("No container of the pod's file runs as root or writes to its image") {
    std::size_t checked = 0;
    for (const auto& [name, object] : pod_makers()) {
        const YAML::Node pod = pod_of(object);
        INFO(name);
        CHECK(pod["securityContext"]["runAsNonRoot"].as<bool>());
        CHECK_FALSE(pod["automountServiceAccountToken"].as<bool>());
        for (const auto& [container, spec] : containers(pod)) {
            INFO(container);
            const YAML::Node context = spec["securityContext"];
            CHECK(context["runAsUser"].as<int>() != 0);
            CHECK(context["readOnlyRootFilesystem"].as<bool>());
            CHECK_FALSE(context["allowPrivilegeEscalation"].as<bool>());
            CHECK(context["capabilities"]["drop"][0].as<std::string>() == "ALL");
            // Secrets come as files only.
            for (const YAML::Node& variable : spec["env"])
                CHECK_FALSE(variable["valueFrom"].IsDefined());
            ++checked;
        }
    }
    CHECK(checked == 3);
}

TEST_CASE("Neither a sink that is down nor a relay that stops takes Postgres out of its service") {
    auto all = containers(stateful_pod());
    const YAML::Node relay = all.at("walrelay");
    CHECK(relay["livenessProbe"]["httpGet"]["path"].as<std::string>() == "/healthz");
    CHECK_FALSE(relay["readinessProbe"].IsDefined());
    CHECK(all.at("postgres")["readinessProbe"]["exec"]["command"][0].as<std::string>() ==
          "pg_isready");
    CHECK(objects().at("Service/shop")["spec"]["publishNotReadyAddresses"].as<bool>());
}

TEST_CASE("Every mount of the pod's file has its volume") {
    for (const auto& [name, object] : pod_makers()) {
        const YAML::Node pod = pod_of(object);
        INFO(name);
        std::set<std::string> volumes;
        for (const YAML::Node& each : pod["volumes"])
            volumes.insert(each["name"].as<std::string>());
        for (const YAML::Node& each : object["spec"]["volumeClaimTemplates"])
            volumes.insert(each["metadata"]["name"].as<std::string>());
        for (const auto& [container, spec] : containers(pod)) {
            for (const YAML::Node& each : spec["volumeMounts"])
                CHECK(volumes.count(each["name"].as<std::string>()) == 1);
        }
    }
}

TEST_CASE("The sink map inside the pod's file is read without problems or warnings") {
    const auto all = objects();
    const std::string map =
        all.at("ConfigMap/shop-walrelay")["data"]["relay.yaml"].as<std::string>();
    const reading result = read_text(map, "relay.yaml", test_secrets());
    INFO(report(result));
    REQUIRE(result.model);
    CHECK(result.warnings.empty());
    const auto relay = containers(stateful_pod()).at("walrelay");
    CHECK(result.model->source.conninfo.find("host=" + mount_path(relay, "socket") + " ") == 0);
    CHECK(map.find("${file:" + mount_path(relay, "walrelay-secret") + "/") != std::string::npos);
    // The kubelet asks by the address of the pod.
    CHECK(result.model->admin.listen == "0.0.0.0:9187");
    CHECK(relay["ports"][0]["containerPort"].as<int>() == 9187);
}

}  // namespace walrelay::config
