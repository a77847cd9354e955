use super::{DISCARD, Entry, FLUSH, FUA, MAGIC, MARK, WriteLog};

const DISK_BYTES: usize = 64 << 10;

/// A super block that announces `count` entries.
fn super_block(count: u64) -> Vec<u8> {
    let mut log: Vec<u8> = [MAGIC, 1, count, 512].iter().flat_map(|n| n.to_le_bytes()).collect();
    log.resize(512, 0);
    log
}

fn entry(sector: u64, sectors: u64, flags: u64, data: &[u8]) -> Vec<u8> {
    let fields = [sector, sectors, flags, 0];
    let mut bytes: Vec<u8> = fields.iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.resize(512, 0);
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn every_kind_of_entry_is_read() {
    let log = [
        super_block(5),
        entry(2, 1, 0, &[7; 512]),
        entry(0, 0, FLUSH, &[]),
        entry(8, 4, DISCARD, &[]),
        entry(3, 2, FUA, &[8; 1024]),
        entry(4, 1, FLUSH, &[9; 512]),
        vec![1; 99],
    ];
    let write = |at, bytes, durable| Entry::Write { at, bytes, durable };
    let found = WriteLog::parse(&log.concat(), DISK_BYTES).unwrap();
    let expected = [
        write(1024, vec![7; 512], false),
        Entry::Flush,
        Entry::Discard { at: 4096, length: 2048 },
        write(1536, vec![8; 1024], true),
        Entry::Flush,
        write(2048, vec![9; 512], false),
    ];
    assert_eq!(found.entries, expected);
    assert_eq!((found.writes(), found.flushes(), found.end()), (4, 2, 6144));
}

#[test]
fn what_is_wrong_with_a_log_is_said() {
    let with = |at: usize, byte: u8| {
        let mut log = [super_block(1), entry(2, 1, 0, &[7; 512])].concat();
        log[at] = byte;
        log
    };
    let cases = [
        (vec![0; 3], "cut off at byte 0"),
        (with(0, 0), "magic"),
        (with(8, 2), "version 2, expected 1"),
        (with(25, 3), "sectors of 768 bytes"),
        (with(16, 9), "9 entries, but room for 3"),
        (with(512 + 16, 0x40), "unknown flags 0x40"),
        (with(512 + 16, MARK as u8), "a mark"),
        (with(512 + 1, 1), "beyond a disk of 128"),
        (with(512 + 15, 0xff), "beyond a disk of 128"),
        (with(512 + 8, 2), "1024 bytes of data are cut off"),
    ];
    for (log, expected) in cases {
        let error = format!("{:#}", WriteLog::parse(&log, DISK_BYTES).unwrap_err());
        assert!(error.contains(expected), "{error}: {expected}");
    }
}
