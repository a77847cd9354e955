//! What people and programs do to a machine, typed on its console.

use anyhow::Result;
use qemu_tests::Shell;

/// The description of a package that is made on the spot (deb-control(5)).
const PACKAGE: &str = "Package: dirt\\nVersion: 1\\nArchitecture: all\\n\
    Maintainer: nobody <nobody@example.org>\\nDescription: dirt\\n";

/// A byte of a program, far from its beginning.
const OVERWRITE: &str = "printf X | dd of=/usr/bin/perl bs=1 seek=300000 conv=notrunc";

/// Commands, and what they come to.
fn commands() -> Vec<(&'static str, String)> {
    let table = [
        ("a package is made", "mkdir -p /root/p/DEBIAN /root/p/usr/bin"),
        ("", "cp /bin/true /root/p/usr/bin/dirt"),
        ("", "printf 'PACKAGE' >/root/p/DEBIAN/control"),
        ("and installed", "dpkg-deb --build /root/p /root/dirt.deb"),
        ("", "dpkg --install /root/dirt.deb && dirt"),
        ("a log fills 50 MB", "head -c 50M /dev/urandom >/var/log/flood"),
        ("a file is edited", "echo 192.0.2.1 edited >>/etc/hosts"),
        ("a byte changes, and the time does not", "cp -p /usr/bin/perl /root/perl"),
        ("", "OVERWRITE && touch -r /root/perl /usr/bin/perl"),
        ("files are deleted", "rm -r /usr/share/common-licenses /etc/issue.net"),
        ("a directory is renamed", "mv /usr/share/doc /usr/share/docs"),
        ("a program is renamed", "mv /usr/bin/tar /usr/bin/rat"),
        ("modes change", "chmod 4777 /usr/bin/ls && chmod 0 /etc/shadow"),
        ("owners change", "chown 65534:12 /etc/hostname"),
        ("capabilities come", "setcap cap_net_raw+ep /usr/bin/md5sum"),
        ("and go", "setcap -r /usr/bin/ping"),
        ("a file is where a directory was", "mv /usr/share/bash-completion /srv"),
        ("", "echo >/usr/share/bash-completion"),
        ("a directory is where a file was", "rm /etc/motd && mkdir -p /etc/motd/of/the/day"),
        ("a link is where a directory was", "mv /usr/share/man /srv && ln -s /etc /usr/share/man"),
        ("a file has a second name", "ln /etc/passwd /etc/passwd2"),
        ("a fifo and a device", "mkfifo /srv/fifo && mknod /srv/sda b 8 0"),
        ("a file is made immutable", "echo x >/etc/debian_version"),
        ("", "chattr +i /etc/debian_version"),
    ];
    let whole = |command: &str| command.replace("PACKAGE", PACKAGE).replace("OVERWRITE", OVERWRITE);
    table.into_iter().map(|(what, command)| (what, whole(command))).collect()
}

/// Dirties a machine.
pub(crate) fn dirty(shell: &mut Shell<'_>) -> Result<()> {
    for (what, command) in commands() {
        shell.run(&command)?;
        if !what.is_empty() {
            println!("          {what}");
        }
    }
    Ok(())
}
