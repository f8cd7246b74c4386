#!/usr/bin/env bash
# A docker engine and a base image for the docker tests, made where they are missing: nothing that
# is there is touched. No registry is needed: the base image is a minimal Debian by debootstrap.
#   .ci/docker-base.sh [IMAGE]
set -euo pipefail

IMAGE="${1:-aind-capsule-base:bookworm}"
ENGINE_DEADLINE_S=60

die() {
    echo "docker-base: $1" >&2
    exit 1
}

is_answering() {
    docker info >/dev/null 2>&1
}

# need_root WHAT
need_root() {
    [ "$(id -u)" -eq 0 ] || die "$1 needs root; run this script as root once, or make it yourself"
}

# install_packages PACKAGE...
install_packages() {
    need_root "apt-get install $*"
    command -v apt-get >/dev/null || die "there is no apt-get here; install $* yourself"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
        >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; die "apt-get could not install $*"; }
}

start_engine() {
    if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null; then
        install_packages docker.io iptables
    fi
    # Installing may have started it already.
    ! is_answering || return 0
    need_root "no docker engine answers ($(docker info 2>&1 | tail -n 1)); starting one"
    local log engine deadline
    log="$(mktemp --suffix=.dockerd.log)"
    setsid nohup dockerd >"$log" 2>&1 </dev/null &
    engine=$!
    deadline=$((SECONDS + ENGINE_DEADLINE_S))
    until is_answering; do
        if ! kill -0 "$engine" 2>/dev/null; then
            tail -n 20 "$log" >&2
            die "dockerd ended before it answered; its log is $log"
        elif [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 20 "$log" >&2
            die "dockerd did not answer within $ENGINE_DEADLINE_S s; its log is $log"
        fi
        sleep 0.2
    done
}

make_image() {
    need_root "the image $IMAGE is missing, and making it by debootstrap"
    command -v debootstrap >/dev/null || install_packages debootstrap debian-archive-keyring
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates,git \
        bookworm "$work/rootfs" >"$work/log" 2>&1 \
        || { tail -n 20 "$work/log" >&2; die "debootstrap failed (is the Debian mirror reachable, and may files in ${TMPDIR:-/tmp} be devices? else set TMPDIR)"; }
    rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
    tar -C "$work/rootfs" -c . | docker import --change 'CMD ["bash"]' - "$IMAGE" >/dev/null
}

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
is_answering || start_engine
docker image inspect "$IMAGE" >/dev/null 2>&1 || make_image
