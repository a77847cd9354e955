# What scripts/debian-image and scripts/debian-tree share: the packages of a small real
# Debian 12, and what makes it one machine of a fleet. Source it after lib.sh.
# `version` (first or next), `boot` (grub or systemd-boot) and `root` (the directory that is
# dressed) are the caller's.
# shellcheck shell=bash disable=SC2154

overlay=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/debian-overlay
# Debian 12.0's release day: times made while building are set back to it.
disk_epoch=1686355200

packages_of() {
    echo systemd systemd-sysv udev dbus linux-image-cloud-amd64 initramfs-tools zstd iproute2
    case $boot in
        grub) echo systemd-resolved openssh-server e2fsprogs dosfstools ca-certificates \
            grub-pc-bin grub-efi-amd64-bin grub2-common locales less ;;
        systemd-boot) echo systemd-boot-efi libcap2-bin iputils-ping ;;
    esac
    if [ "$version" = next ]; then echo nginx-light jq tmux; fi
}

# The small one is for tests that deploy it many times.
variant_of() { if [ "$boot" = grub ]; then echo important; else echo minbase; fi; }

suites_of() {
    local mirror=http://deb.debian.org
    echo "deb $mirror/debian bookworm main"
    if [ "$version" = next ]; then
        echo "deb $mirror/debian bookworm-updates main"
        echo "deb $mirror/debian-security bookworm-security main"
    fi
}

# Prints the path of the tree as a tar, as Debian's packages leave it.
unpacked_tar() {
    local key
    key=debian-tar-$boot-$version-$(recipe download_packages disk_epoch)
    printf '%s/tree.tar\n' "$(cached "$key" download_packages)"
}

download_packages() {
    say "Debian 12, $version version for $boot: downloading and unpacking its packages"
    suites_of >"$1/sources.list"
    SOURCE_DATE_EPOCH=$disk_epoch mmdebstrap --quiet --mode=root --variant="$(variant_of)" \
        --include="$(packages_of | xargs | tr ' ' ,)" bookworm "$1/tree.tar" "$1/sources.list"
}

# unpack TAR: into the root.
unpack() {
    tar -C "$root" --xattrs --xattrs-include='*' --numeric-owner -xf "$1"
    mkdir -p "$root/boot/efi"
}

# Makes the tree one machine of a fleet: what a machine has of its own
# (machine-id, ssh host keys) is left for its first boot to make.
dress() {
    cp -r "$overlay/." "$root/"
    rm -f "$root"/etc/ssh/ssh_host_*
    : >"$root/etc/machine-id"
    echo "Debian 12, inaugurated ($version version)." >"$root/etc/motd"
    # The hash of `inaugurator`.
    inside usermod root --password "\$6\$inaugurator\$P7WlfYraUINHwN16spPk5dTOBqUvM9JAkiBtVx2qQp\
Cum2YcNjNy6GK9RoONwcuMK8wPd4n3SXW4YWACeway71"
    inside systemctl enable systemd-networkd demo-report
    inside systemctl mask systemd-networkd-wait-online networking
    if [ -e "$root/lib/systemd/system/systemd-resolved.service" ]; then
        inside systemctl enable systemd-resolved
    fi
    inside update-initramfs -u -k all
}

# /dev, /proc, /sys and /run inside the root. /dev has no disk in it: what runs inside
# sees none of the host's.
enter() {
    mount -t tmpfs dev "$root/dev"
    cp -a /dev/{null,zero,full,random,urandom,tty} "$root/dev/"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t tmpfs run "$root/run"
}

# A command in the root, silent unless it fails.
inside() {
    local output
    output=$(LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=$disk_epoch chroot "$root" "$@" 2>&1) ||
        die "$1 failed in the root: $output"
}

# The mounts live in a namespace of this process: whatever kills it, none stays.
in_own_mount_namespace() {
    [ -n "${INAUGURATOR_OWN_MOUNTS-}" ] || INAUGURATOR_OWN_MOUNTS=1 \
        exec unshare --mount --propagation private "$0" "$@"
}

# The hash of the named functions and variables and of the lists they read; with `dress`
# among them, also of the files that are laid over the tree.
recipe() {
    {
        for name; do declare -f "$name" || declare -p "$name"; done
        packages_of
        suites_of
        variant_of
        [[ $* != *dress* ]] || (cd "$overlay" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
    } | sha256sum | cut -c1-16
}
