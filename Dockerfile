# The relay as a sidecar: `docker build -t walrelay .`; docker-compose.yml shows it at work.
# BASE may name a copy of Debian 13 in a registry of your own.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ccache cmake g++ libboost1.83-dev libcli11-dev libpq-dev librdkafka-dev libspdlog-dev libssl-dev \
        libyaml-cpp-dev ninja-build nlohmann-json3-dev pkg-config prometheus-cpp-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/root/.cache/ccache \
    cmake --preset release -DWALRELAY_TESTS=OFF -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
    && cmake --build build/release --target walrelay \
    && strip build/release/walrelay

FROM ${BASE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates libpq5 libprometheus-cpp-core1.0 librdkafka1 libspdlog1.15 libssl3t64 \
        libyaml-cpp0.8 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=build /source/build/release/walrelay /usr/local/bin/walrelay
# By number, so that Kubernetes can tell that it isn't root.
USER 65532:65532
# Ready: the slot is held and nothing stalls.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["walrelay", "status", "--ready", "-c", "/etc/walrelay/relay.yaml"]
ENTRYPOINT ["walrelay"]
CMD ["run", "-c", "/etc/walrelay/relay.yaml"]
