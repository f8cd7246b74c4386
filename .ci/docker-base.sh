#!/usr/bin/env bash
# A docker engine and a base image for the docker tests, made where they are missing.
# No registry is needed: the base image is a minimal Debian made by debootstrap.
set -euo pipefail

IMAGE="${1:-aind-capsule-base:bookworm}"

if ! command -v dockerd >/dev/null || ! command -v debootstrap >/dev/null || ! command -v iptables >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends docker.io debootstrap iptables
fi

if ! docker info >/dev/null 2>&1; then
    setsid nohup dockerd >/tmp/dockerd.log 2>&1 </dev/null &
    for _ in $(seq 120); do
        docker info >/dev/null 2>&1 && break
        sleep 0.5
    done
    docker info >/dev/null 2>&1 || { tail -n 30 /tmp/dockerd.log >&2; echo "docker-base: no docker engine" >&2; exit 1; }
fi

if ! docker image inspect "$IMAGE" >/dev/null 2>&1; then
    root="$(mktemp -d)"
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,git bookworm "$root" >/tmp/debootstrap.log 2>&1 \
        || { tail -n 20 /tmp/debootstrap.log >&2; echo "docker-base: debootstrap failed" >&2; exit 1; }
    tar -C "$root" -c . | docker import - "$IMAGE" >/dev/null
fi
