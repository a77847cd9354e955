# Helpers shared by the scripts beside this file. Source it: . "$(dirname "$0")/lib.sh"
# Contract: results go to stdout, everything a person reads goes to stderr.
# shellcheck shell=bash

set -euo pipefail
shopt -s inherit_errexit # a failure inside $(...) is a failure

# One progress line.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# One sentence and out.
die() {
    say "$*"
    exit 1
}

# Where built things are kept between runs; safe to delete at any time.
cache_dir() {
    local dir=${XDG_CACHE_HOME:-$HOME/.cache}/inaugurator
    mkdir -p "$dir"
    printf '%s\n' "$dir"
}

# cached KEY FUNCTION: prints the directory KEY of the cache. If it is absent, FUNCTION is
# called with an empty directory to fill. The directory appears under its name only when
# FUNCTION succeeded, and two runs at once build it once. KEY must name the whole recipe.
# Never call it in a condition (`if`, `||`): bash would then run FUNCTION without `set -e`.
cached() {
    local key=$1 build=$2 cache dir
    cache=$(cache_dir)
    dir=$cache/$key
    if [ ! -d "$dir" ]; then
        # A subshell, so that the lock and the clean-up end with the build.
        (
            exec 9>"$cache/$key.lock"
            flock 9
            [ ! -d "$dir" ] || exit 0 # another run built it while this one waited
            rm -rf "$cache/.$key".?????? # of a run that was killed; the lock says none is alive
            new=$(mktemp -d "$cache/.$key.XXXXXX")
            trap 'rm -rf "$new"' EXIT
            trap 'exit 1' INT TERM
            chmod 0755 "$new"
            "$build" "$new" >&2 9>&-
            mv -T "$new" "$dir"
        )
    fi
    printf '%s\n' "$dir"
}

# Are these packages installed? Prints those that are not.
missing_packages() {
    local package
    for package; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s\n' "$package"
    done
}

# Fresh package lists, once per run (also of the scripts that this one calls).
apt_update() {
    [ -z "${INAUGURATOR_APT_UPDATED:-}" ] || return 0
    need_root "refresh the package lists"
    apt_quiet update
    export INAUGURATOR_APT_UPDATED=1
}

# need_root WHY
need_root() { [ "$(id -u)" = 0 ] || die "must be root to $1"; }

# apt-get without questions; its output is shown only when it fails.
apt_quiet() {
    local log
    log=$(mktemp)
    if ! DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "apt-get $* failed"
    fi
    rm -f "$log"
}

# need_packages PACKAGE...: installs what is missing, nothing else.
need_packages() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    need_root "install ${missing[*]}"
    say "installing ${missing[*]}"
    apt_update
    apt_quiet install -y --no-install-recommends "${missing[@]}"
}

# QEMU for x86-64. Its packages must share one version, and a newer qemu-utils from
# backports may be there already, so versions are pinned to the system emulator's.
need_qemu() {
    local version
    if command -v qemu-system-x86_64 >/dev/null && command -v qemu-img >/dev/null; then
        return 0
    fi
    need_root "install qemu-system-x86"
    say "installing qemu-system-x86"
    apt_update
    version=$(apt-cache policy qemu-system-x86 | awk '/Candidate/ { print $2 }')
    apt_quiet install -y --no-install-recommends --allow-downgrades \
        "qemu-system-x86=$version" "qemu-system-common=$version" \
        "qemu-system-data" "qemu-utils=$version" seabios ipxe-qemu
}

# Rust of the version that Cargo.toml names, or newer. Debian 12's own is too old.
need_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml")
    # shellcheck source=/dev/null
    [ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    found=$(rustc --version 2>/dev/null | awk '{ print $2 }') || found=none
    if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] &&
        [ "$found" != none ]; then
        return 0
    fi
    say "Rust $wanted is needed, found ${found:-none}: installing it with rustup"
    need_packages curl ca-certificates
    command -v rustup >/dev/null ||
        curl -fsS --proto '=https' https://sh.rustup.rs | sh -s -- -y -q --profile minimal \
            --default-toolchain none >&2 || die "cannot install rustup: see rustup.rs"
    # shellcheck source=/dev/null
    [ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    rustup toolchain install --profile minimal -c clippy -c rustfmt "$wanted" >&2
    rustup default "$wanted" >&2
}

# need_cargo_tool NAME VERSION: a cargo subcommand of this version, installed if it is not.
need_cargo_tool() {
    local found
    found=$("$1" --version 2>/dev/null) || found=none
    [ "$found" != "$1 $2" ] || return 0
    say "installing $1 $2 (once, some minutes)"
    cargo install --locked --quiet --force "$1@$2" >&2
}
