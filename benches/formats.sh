# The peers' programs that Debian has not, and the images in the peers' formats; both cached.
# Sourced by run.
# shellcheck shell=bash disable=SC2154 # run sets images and peers

bita_version=0.15.0
coreos_version=0.27.0

# Prints a directory whose bin/ has bita and coreos-installer.
peer_programs() {
    cached "bench-tools-$(declare -f make_peers | sha256sum | cut -c1-8)-$bita_version-$coreos_version" make_peers
}

make_peers() {
    need_rust
    need_packages build-essential libssl-dev libzstd-dev pkg-config
    say "building bita and coreos-installer (once, some minutes)"
    nice cargo install --quiet --locked --root "$1" --target-dir "$1/target" \
        --features zstd-compression "bita@$bita_version"
    nice cargo install --quiet --locked --root "$1" --target-dir "$1/target" \
        "coreos-installer@$coreos_version"
    rm -rf "$1/target"
}

# make_formats DIR: each image as each peer wants it, at the level that all share: zstd 3.
make_formats() {
    local label raw
    for label in v1 v2 v2m v2mt; do
        say "$label in the peers' formats"
        raw=$images/$label.raw
        zstd -q -3 -T0 "$raw" -o "$1/$label.zst"
        "$peers/bin/bita" compress --compression zstd --compression-level 3 -i "$raw" "$1/$label.cba"
        casync make --compression=zstd --store="$1/castr" "$1/$label.caibx" "$raw" >/dev/null
    done
    gzip -c "$images/v1.raw" >"$1/v1.raw.gz"
    qemu-img convert -O qcow2 "$images/v1.raw" "$1/v1.qcow2"
    bmaptool -q create -o "$1/v1.bmap" "$images/v1.raw"
    # Without -Z: a zsync file of a gzip would make the client inflate what it seeds from.
    zsyncmake -Z -u v2.raw -f v2.raw -o "$1/v2.zsync" "$images/v2.raw"
    ln -s "$images/v2.raw" "$1/v2.raw"
}

formats_recipe() {
    {
        declare -f make_formats
        printf '%s\n' "$images" "$peers"
    } | sha256sum | cut -c1-16
}
