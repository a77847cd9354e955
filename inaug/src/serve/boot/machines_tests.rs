use super::*;
use std::error::Error;
use std::fmt::Write as _;

fn find(json: &str, identity: &Identity) -> Option<Entry> {
    Machines::parse(json.as_bytes()).unwrap().find([identity]).cloned()
}

fn mac(text: &str) -> Identity {
    Identity::Mac(text.parse().unwrap())
}

#[test]
fn an_entry_has_what_it_says_and_the_rest_of_the_default() {
    let json = r#"{
        "default": { "label": "lab/web", "append": "console=ttyS0 quiet" },
        "machines": [
            { "name": "db 1", "mac": ["52:54:00:00:00:01", "52-54-00-00-00-02"],
              "label": "lab__db+lab/extra", "append": "a=1  b" },
            { "serial": " ABC 123 ", "boot": "disk" },
            { "uuid": "4C4C4544-0042-3510-8054-B9C04F503733" }
        ]
    }"#;
    let words = |text| cmdline::words(text).unwrap();
    let db = Entry {
        name: Some("db 1".into()),
        does: Does::Deploy("lab/db+lab/extra".into()),
        append: words("console=ttyS0 quiet a=1 b"),
    };
    assert_eq!(find(json, &mac("52:54:00:00:00:01")), Some(db.clone()));
    assert_eq!(find(json, &mac("52:54:00:00:00:02")), Some(db));
    let web = Entry {
        name: None,
        does: Does::Deploy("lab/web".into()),
        append: words("console=ttyS0 quiet"),
    };
    assert_eq!(find(json, &mac("52:54:00:00:00:03")), Some(web.clone()));
    let disk = Entry { does: Does::Disk, ..web.clone() };
    assert_eq!(find(json, &Identity::Serial("ABC 123".into())), Some(disk));
    let uuid = "4c4c4544-0042-3510-8054-b9c04f503733".parse().unwrap();
    assert_eq!(find(json, &Identity::Uuid(uuid)), Some(web));
}

#[test]
fn without_a_default_others_are_unknown() {
    assert_eq!(find("{}", &mac("52:54:00:00:00:03")), None);
    let only_words = r#"{"default": {"append": "console=ttyS0"}}"#;
    assert_eq!(find(only_words, &mac("52:54:00:00:00:03")), None);
}

#[test]
fn every_mistake_names_its_entry() {
    for (json, place, why) in [
        (r#"{"default": {"labl": "a"}}"#, "default", "unknown field `labl`"),
        (r#"{"default": {"mac": "52:54:00:00:00:01"}}"#, "default", "names a machine"),
        (r#"{"default": {"label": "../etc"}}"#, "default", "label: \"../etc\""),
        (r#"{"default": {"boot": "floppy"}}"#, "default", "unknown variant `floppy`"),
        (
            r#"{"machines": [{"mac": "52:54:00:00:00", "label": "a"}]}"#,
            "machines[0] (mac \"52:54:00:00:00\")",
            "mac: \"52:54:00:00:00\": expected six hex pairs",
        ),
        (
            r#"{"machines": [{"mac": "52:54:00:00:00:01"}]}"#,
            "machines[0] (mac \"52:54:00:00:00:01\")",
            "says neither label nor boot",
        ),
        (
            r#"{"machines": [{"name": "x", "label": "a"}]}"#,
            "machines[0] (name \"x\")",
            "names no machine",
        ),
        (
            r#"{"machines": [{"serial": "1", "label": "a"}, {"serial": "1", "label": "b"}]}"#,
            "machines[1] (serial \"1\")",
            "serial 1 is that of machines[0] too",
        ),
        (
            r#"{"machines": [{"serial": "1", "label": "a", "boot": "disk"}]}"#,
            "machines[0] (serial \"1\")",
            "has both label and boot",
        ),
        (
            r#"{"machines": [{"serial": "1", "label": "a", "append": "a\nreboot"}]}"#,
            "machines[0] (serial \"1\")",
            "append: \"a\\nreboot\" is more than one line",
        ),
        (
            r#"{"machines": [{"serial": "1", "label": "a", "append": "a ${ip}"}]}"#,
            "machines[0] (serial \"1\")",
            "append: \"${ip}\" has ${, which iPXE replaces",
        ),
        (
            r#"{"machines": [{"serial": "1", "label": "a", "append": "a || reboot"}]}"#,
            "machines[0] (serial \"1\")",
            "append: \"||\" ends a command of iPXE",
        ),
        (
            r#"{"machines": [{"mac": 7, "label": "a"}]}"#,
            "machines[0] (mac 7)",
            "mac: expected one address, or a list of them",
        ),
        (r#"{"machines": ["x"]}"#, "machines[0]", "invalid type"),
        (
            r#"{"default": {"label": "a", "append": "a=\"b c"}}"#,
            "default",
            "append: \"a=\\\"b c\" has a quote that is not closed",
        ),
        (
            r#"{"default": {"boot": "recovery", "append": "inaugurator.label=a"}}"#,
            "default",
            "append: \"inaugurator.label\" is said by the field label",
        ),
        (
            r#"{"default": {"label": "a", "append": "ip=dhcp ip=off"}}"#,
            "default",
            "append: ip is given twice",
        ),
        (
            r#"{"machines": [{"serial": "Default String", "label": "a"}]}"#,
            "machines[0] (serial \"Default String\")",
            "serial: \"Default String\": expected the serial number of one machine",
        ),
    ] {
        let error = Machines::parse(json.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{place}: {why}")), "{json}: {error}");
    }
    for json in [
        r#"{"machines": [{"mac": "52:54:00:00:00:01", "label": "a", "label": "b"}]}"#,
        r#"{"default": {"boot": "disk"}, "default": {"boot": "recovery"}}"#,
    ] {
        let error = Machines::parse(json.as_bytes()).unwrap_err();
        let why = error.source().unwrap().to_string();
        assert!(why.starts_with("duplicate field `"), "{json}: {why}");
    }
    let error = Machines::parse(b"{\"machine\": []}").unwrap_err();
    assert_eq!(error.to_string(), "not the JSON of a machines file");
}

#[test]
fn all_mistakes_are_said_together_as_far_as_anybody_reads() {
    let json = r#"{"default": {"labl": "a"}, "machines": [
        {"mac": "52", "label": "../a", "append": "a || b"}, {"name": "x", "label": "a"}]}"#;
    let error = Machines::parse(json.as_bytes()).unwrap_err().to_string();
    let places: Vec<_> = error.split("; ").map(|one| one.split(": ").next().unwrap()).collect();
    let first = "machines[0] (mac \"52\")";
    assert_eq!(places, ["default", first, first, first, "machines[1] (name \"x\")"], "{error}");
    let mut many = String::from("{}");
    for _ in 0..MISTAKES_MAX {
        write!(many, ", {{}}").unwrap();
    }
    let error = Machines::parse(format!("{{\"machines\": [{many}]}}").as_bytes()).unwrap_err();
    assert!(error.to_string().ends_with("; and more of them"), "{error}");
}

#[test]
fn an_entry_replaces_words_of_the_default_and_the_whole_line_has_an_end() {
    let mac = mac("52:54:00:00:00:01");
    let of = |first: &str, own: &str| {
        format!(
            r#"{{"default": {{"label": "a", "append": "{first}"}},
                "machines": [{{"mac": "52:54:00:00:00:01", "append": "{own}"}}]}}"#
        )
    };
    let entry = find(&of("quiet inaugurator.disk=a", "inaugurator.disk=b"), &mac).unwrap();
    assert_eq!(entry.append, cmdline::words("quiet inaugurator.disk=b").unwrap());
    let half = "x".repeat(WORDS_MAX / 2);
    let error = Machines::parse(of(&half, &half).as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("machines[0]") && error.contains("its command line has"), "{error}");
    assert!(Machines::parse(of(&half, "").as_bytes()).is_ok());
}
