//! Devices that init would need and that no driver serves: the first thing to
//! know when a machine shows no NIC or no disk.

use std::fmt;
use std::fs;
use std::path::Path;

/// A storage or network device without a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driverless {
    /// Its bus: `pci`, `virtio`, `usb`.
    pub bus: &'static str,
    /// Its place, for example `0000:00:03.0`.
    pub place: String,
    /// What it is: `network`, `storage`.
    pub kind: &'static str,
    /// PCI vendor and device in hex, or the virtio device number.
    pub id: String,
    /// Its modalias, for whoever looks for the module.
    pub modalias: String,
}

impl fmt::Display for Driverless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, place, id, modalias, .. } = self;
        write!(f, "{kind} {place} {id} has no driver in this image: {modalias}")
    }
}

/// Kind and identity of a device by its directory, if it is one that init needs.
type KindOf = fn(&Path) -> Option<(&'static str, String)>;

/// Devices listed at most; a machine without any driver has hundreds.
const MAX_LISTED: usize = 16;

/// Storage and network devices of the PCI, virtio and USB buses below `sys`
/// without a driver.
pub fn driverless(sys: &Path) -> Vec<Driverless> {
    let buses: [(&'static str, KindOf); 3] = [("pci", pci), ("virtio", virtio), ("usb", usb)];
    let mut found = Vec::new();
    for (bus, kind_of) in buses {
        let dir = sys.join("bus").join(bus).join("devices");
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.join("driver").exists() {
                continue;
            }
            if let Some((kind, id)) = kind_of(&path) {
                let place = entry.file_name().to_string_lossy().into_owned();
                found.push(Driverless { bus, place, kind, id, modalias: text(&path, "modalias") });
            }
        }
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found.truncate(MAX_LISTED);
    found
}

/// PCI base classes: 01 mass storage, 02 network.
fn pci(path: &Path) -> Option<(&'static str, String)> {
    let kind = match text(path, "class").get(..4)? {
        "0x01" => "storage",
        "0x02" => "network",
        _ => return None,
    };
    let hex = |attribute| text(path, attribute).trim_start_matches("0x").to_string();
    Some((kind, format!("{}:{}", hex("vendor"), hex("device"))))
}

/// virtio 1.2, section 5: device 1 network, 2 block, 8 SCSI host.
fn virtio(path: &Path) -> Option<(&'static str, String)> {
    let device = text(path, "device");
    let kind = match device.as_str() {
        "0x0001" => "network",
        "0x0002" | "0x0008" => "storage",
        _ => return None,
    };
    Some((kind, format!("virtio {device}")))
}

/// USB interface classes: 02 communications (network adapters), 08 mass storage.
fn usb(path: &Path) -> Option<(&'static str, String)> {
    let class = text(path, "bInterfaceClass");
    let kind = match class.as_str() {
        "02" => "network",
        "08" => "storage",
        _ => return None,
    };
    Some((kind, format!("usb class {class}")))
}

fn text(dir: &Path, attribute: &str) -> String {
    fs::read_to_string(dir.join(attribute)).unwrap_or_default().trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_and_has_no_driver_is_named() {
        let sys = tempfile::tempdir().unwrap();
        let put = |path: &str, value: &str| {
            let path = sys.path().join("bus").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        for (device, class, id) in [
            ("0000:00:02.0", "0x020000", "0x100e"),
            ("0000:00:03.0", "0x010802", "0x0010"),
            ("0000:00:04.0", "0x030000", "0x1111"),
            ("0000:00:05.0", "0x020000", "0x100f"),
        ] {
            put(&format!("pci/devices/{device}/class"), class);
            put(&format!("pci/devices/{device}/vendor"), "0x8086\n");
            put(&format!("pci/devices/{device}/device"), id);
            put(&format!("pci/devices/{device}/modalias"), &format!("pci:of{device}\n"));
        }
        put("pci/devices/0000:00:05.0/driver/x", "");
        put("virtio/devices/virtio0/device", "0x0002\n");
        put("virtio/devices/virtio0/modalias", "virtio:d00000002v00001AF4\n");
        put("usb/devices/1-1:1.0/bInterfaceClass", "08\n");
        put("usb/devices/1-1:1.0/modalias", "usb:v0951p1666\n");
        let lines: Vec<String> = driverless(sys.path()).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "network 0000:00:02.0 8086:100e has no driver in this image: pci:of0000:00:02.0",
                "storage 0000:00:03.0 8086:0010 has no driver in this image: pci:of0000:00:03.0",
                "storage 1-1:1.0 usb class 08 has no driver in this image: usb:v0951p1666",
                "storage virtio0 virtio 0x0002 has no driver in this image: \
                 virtio:d00000002v00001AF4",
            ]
        );
    }
}
