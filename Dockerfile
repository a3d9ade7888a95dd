# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build

# The same Debian release, for the same C library. The PostgreSQL server is for the embedded database, which is used when
# PGHUB_DATABASE_URL is empty; the package must not make a cluster of its own.
FROM debian:bookworm-slim
RUN mkdir -p /etc/postgresql-common/createcluster.d \
 && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.d/no-cluster.conf \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates postgresql postgresql-client \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/pghub --shell /usr/sbin/nologin pghub \
 && install -d -o pghub -g pghub -m 0700 /var/lib/pghub
COPY --from=build /src/bin/pghub /usr/local/bin/pghub
COPY LICENSE /usr/share/doc/pghub/LICENSE

USER pghub
ENV PGHUB_LISTEN=0.0.0.0:6433 \
    PGHUB_HTTP=0.0.0.0:8080 \
    PGHUB_DATA_DIR=/var/lib/pghub
VOLUME /var/lib/pghub
EXPOSE 6433 8080
# Through the proxy: it says yes when both the proxy and the server behind it accept connections.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["pg_isready", "-q", "-h", "127.0.0.1", "-p", "6433"]
ENTRYPOINT ["pghub"]
CMD ["serve"]
