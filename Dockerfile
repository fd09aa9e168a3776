# The engine in an image of its own: one binary, not root, nothing writable but its data folder.
# Written without a container engine at hand: this file has never been built. `docker compose config` and a build are
# the first things to try where there is one; say so in an issue if it fails.

# --- build: the toolchain that the manifest asks for (rust-version), and a C compiler for SQLite.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin orrery

# --- run: only glibc and the binary. Small, and still has a shell for a look inside.
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="orrery" \
      org.opencontainers.image.description="Runs jobs made of DAG nodes, retries what fails, recovers what is stuck" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 65532 orrery \
 && useradd --system --uid 65532 --gid 65532 --no-create-home --shell /usr/sbin/nologin orrery \
 && install --directory --owner=65532 --group=65532 --mode=0700 /data
COPY --from=build /src/target/release/orrery /usr/local/bin/orrery
USER 65532:65532
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
# The binary asks the engine's /readyz itself, so that no curl has to be in the image.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["/usr/local/bin/orrery", "healthcheck"]
# SIGTERM drains; the engine needs at most 25 s (server.drain_deadline_ms).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/orrery"]
# Listens on the container's loopback only, like everywhere: who publishes it says so (see docker-compose.yml).
CMD ["serve", "--data", "/data"]
