use proptest::prelude::*;

use super::*;
use crate::uki::tests::stub;

const TWO: [Section; 2] = [
    Section { name: ".cmdline", contents: b"quiet" },
    Section { name: ".linux", contents: &[7; 5000] },
];

/// Name, memory bytes, address, file bytes and place in the file of each section.
fn table(image: &[u8]) -> Vec<(String, u32, u32, u32, u32)> {
    let headers = Headers::of(image).unwrap();
    let row = |header: &[u8]| {
        let name = String::from_utf8_lossy(&header[..8]).trim_end_matches('\0').to_owned();
        let field = |at| u32_at(header, at);
        (name, field(8), field(12), field(16), field(20))
    };
    headers.table(image).map(row).collect()
}

fn optional_field(image: &[u8], field: usize) -> u32 {
    u32_at(image, Headers::of(image).unwrap().optional_at + field)
}

#[test]
fn sections_are_aligned_in_the_file_and_in_memory_and_headers_say_so() {
    let image = with_sections(&stub(1024), &TWO).unwrap();
    assert_eq!(
        table(&image),
        [
            (".text".into(), 0x300, 0x1000, 0x400, 0x400),
            (".cmdline".into(), 5, 0x2000, 0x200, 0x800),
            (".linux".into(), 5000, 0x3000, 0x1400, 0xa00),
        ]
    );
    assert_eq!(image.len(), 0xa00 + 0x1400);
    assert_eq!(&image[0x800..0x805], b"quiet");
    assert!(image[0x805..0xa00].iter().all(|byte| *byte == 0));
    assert_eq!(optional_field(&image, optional::IMAGE_BYTES), 0x3000 + 0x1400);
    assert_eq!(optional_field(&image, optional::HEADERS_BYTES), 1024);
    assert_eq!(optional_field(&image, optional::DATA_BYTES), 0x200 + 0x1400);
}

#[test]
fn time_symbols_and_signature_are_left_out() {
    let mut other = stub(1024);
    let headers = Headers::of(&other).unwrap();
    for field in [coff::TIME, coff::SYMBOLS_AT, coff::SYMBOLS] {
        put_u32(&mut other, headers.coff_at + field, 77);
    }
    put_u32(&mut other, headers.optional_at + optional::CERTIFICATES, 0x800);
    put_u32(&mut other, headers.optional_at + optional::CHECKSUM, 1);
    other.extend_from_slice(&[9; 100]);
    assert!(with_sections(&other, &TWO).unwrap() == with_sections(&stub(1024), &TWO).unwrap());
}

#[test]
fn headers_without_room_are_made_longer_and_contents_move_with_them() {
    let full = Headers::of(&stub(1024)).unwrap().table_at + SECTION_BYTES;
    let short = full.next_multiple_of(512);
    let many: Vec<Section> = (0..8).map(|_| Section { name: ".dtb", contents: b"x" }).collect();
    let (near, far) = (stub(short), stub(1024));
    let (grown, plain) = (with_sections(&near, &many), with_sections(&far, &many));
    let (grown, plain) = (grown.unwrap(), plain.unwrap());
    assert_eq!(optional_field(&near, optional::HEADERS_BYTES), 512);
    assert_eq!(table(&grown), table(&plain));
    assert_eq!(grown[1024..], plain[1024..]);

    let mut empty = near.clone();
    let header = full - SECTION_BYTES;
    put_u32(&mut empty, header + section::FILE_BYTES, 0);
    put_u32(&mut empty, header + section::FILE_AT, 0xffff_ff00);
    assert_eq!(table(&with_sections(&empty, &many).unwrap())[0].4, 0xffff_ff00);

    let mut tight = near;
    let address = full - SECTION_BYTES + section::ADDRESS;
    put_u32(&mut tight, address, 512);
    let refused = with_sections(&tight, &many).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "stub: expected room for the headers of more sections, found none in memory"
    );
}

#[test]
fn the_checksum_is_that_of_the_specification() {
    // By hand: 0x0201 + 0x0403 + 0x0005, and a length of 5.
    assert_eq!(checksum(&[1, 2, 3, 4, 5]), 0x0609 + 5);
    // A carry comes back in.
    assert_eq!(checksum(&[0xff, 0xff, 2, 0]), 2 + 4);
    let image = with_sections(&stub(1024), &TWO).unwrap();
    let mut zeroed = image.clone();
    let at = Headers::of(&image).unwrap().optional_at + optional::CHECKSUM;
    put_u32(&mut zeroed, at, 0);
    assert_eq!(u32_at(&image, at), checksum(&zeroed));
}

#[test]
fn refusals_say_what_is_wrong_with_the_stub() {
    let made = with_sections(&stub(1024), &TWO).unwrap();
    let at = Headers::of(&stub(1024)).unwrap();
    let with = |at: usize, value: u32| {
        let mut stub = stub(1024);
        put_u32(&mut stub, at, value);
        stub
    };
    let section = at.table_at;
    let table: [(Vec<u8>, &str); 8] = [
        (b"\x7fELF".to_vec(), "expected a PE executable, found another signature than MZ"),
        (with(POINTER_AT, 0xffff_fff0), "found none where the DOS header points"),
        (with(at.coff_at, 0x1_aa64), "found machine 0xaa64, magic 0x20b, 240 bytes of header"),
        (with(at.optional_at + optional::FILE_ALIGNMENT, 3), "a power of two, found 3"),
        (with(at.optional_at + optional::HEADERS_BYTES, 300), "found fewer bytes of them"),
        (with(section + section::FILE_AT, 9999), "found one at 9999..11023 of 2048"),
        (with(section + SECTION_BYTES, 1), "nothing between headers and sections, found some"),
        (made, "found .cmdline: it is a unified kernel already"),
    ];
    for (stub, expected) in table {
        let text = with_sections(&stub, &TWO).unwrap_err().to_string();
        assert!(text.contains(expected), "expected {expected:?} in {text:?}");
    }
}

proptest! {
    /// A stub is a file of the operator's: whatever it holds, it is refused or taken.
    #[test]
    fn any_damage(at in 0_usize..600, value in any::<u32>(), is_short in any::<bool>()) {
        // Headers of 512 bytes have to grow.
        let mut stub = stub(if is_short { 512 } else { 1024 });
        put_u32(&mut stub, at, value);
        if let Ok(image) = with_sections(&stub, &TWO) {
            prop_assert!(Headers::of(&image).is_ok());
        }
    }
}
