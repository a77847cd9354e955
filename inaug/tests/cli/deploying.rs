//! `inaug deploy` from a directory, from our server and from another, onto a file.

use crate::support::{Bench, Server, image, inaug};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NGINX: &str = "/usr/sbin/nginx";

/// nginx listens well within this.
const NGINX_STARTS_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn directory_server_and_nginx_give_the_same_bytes() {
    let bench = Bench::new();
    let bytes = image(1, 1024);
    bench.push("a", &bytes);
    let server = Server::start(&bench.store());
    let nginx = Nginx::start(&bench);
    let stores = [Some(bench.store()), Some(server.url()), nginx.as_ref().map(|it| it.url.clone())];
    for (number, store) in stores.into_iter().flatten().enumerate() {
        let to = bench.text(&format!("disk{number}"));
        let ran = inaug(&["deploy", "a", "--store", &store, "--to", &to, "--json"]).expect(0);
        assert!(std::fs::read(&to).unwrap() == bytes, "other bytes from {store}");
        let document = ran.json();
        assert_eq!(document["schema"], "inaug/deploy/1");
        assert_eq!(document["kept_objects"], 0, "{store}");
        assert!(document["fetched_bytes"].as_u64().unwrap() > 3 << 20, "{document}");
        for field in ["copied_bytes", "written_bytes", "requests", "limit", "read_back"] {
            assert!(document.get(field).is_some(), "{field} in {document:#}");
        }
        for stage in ["label", "plan", "write", "verify", "settle"] {
            assert!(document["seconds"][stage].is_number(), "{stage} in {document:#}");
        }

        let again = inaug(&["deploy", "a", "--store", &store, "--to", &to, "--json"]).expect(0);
        assert_eq!(again.json()["fetched_objects"], 0, "{store}");
    }
}

#[test]
fn the_next_label_takes_what_diff_says() {
    let bench = Bench::new();
    let old = image(1, 1024);
    let mut new = old.clone();
    new[1 << 20..2 << 20].copy_from_slice(&image(7, 256));
    bench.push("old", &old);
    bench.push("new", &new);
    let to = bench.text("disk");
    bench.run(&["deploy", "old", "--to", &to]).expect(0);
    let said = bench.run(&["diff", "old", "new", "--json"]).expect(0).json();
    let plan = bench.run(&["deploy", "new", "--to", &to, "--plan", "--json"]).expect(0).json();
    assert_eq!(plan["missing_bytes"], said["fetch_bytes"]);
    assert_eq!(plan["packed_bytes"], said["fetch_packed_bytes"]);
    assert_eq!(plan["kept_bytes"], said["kept_bytes"]);
    assert!(std::fs::read(&to).unwrap() == old, "a plan writes nothing");
    let done = bench.run(&["deploy", "new", "--to", &to, "--json"]).expect(0).json();
    assert_eq!(done["fetched_objects"], said["fetch_objects"]);
    assert!(std::fs::read(&to).unwrap() == new);
}

#[test]
fn a_plan_leaves_no_file() {
    let bench = Bench::new();
    bench.push("a", &image(1, 64));
    let to = bench.text("disk");
    let plan = bench.run(&["deploy", "a", "--to", &to, "--plan"]).expect(0);
    assert!(plan.stdout.starts_with("label   a (image "), "{plan:#?}");
    assert!(!Path::new(&to).exists());
}

#[test]
fn the_nearest_store_that_has_the_label_is_asked() {
    let (near, far) = (Bench::new(), Bench::new());
    near.push("other", &image(2, 16));
    far.push("a", &image(1, 64));
    let chain = format!("{},{}", near.store(), far.store());
    let to = near.text("disk");
    inaug(&["deploy", "a", "--store", &chain, "--to", &to]).expect(0);
    assert!(std::fs::read(&to).unwrap() == image(1, 64));
    let ran = inaug(&["deploy", "b", "--store", &chain, "--to", &to]).expect(1);
    let expected =
        format!("inaug: no such label: b is in none of: {}, {}\n", near.store(), far.store());
    assert_eq!(ran.stderr, expected);
}

#[test]
fn damage_in_the_store_is_never_written_as_good() {
    let bench = Bench::new();
    bench.push("a", &image(1, 64));
    crate::support::damage(&bench.stored("packs")[0]);
    let to = bench.text("disk");
    let ran = bench.run(&["deploy", "a", "--to", &to]).expect(3);
    assert!(ran.stderr.contains("pack"), "{}", ran.stderr);
    let first_block = std::fs::read(&to).unwrap()[..4096].to_vec();
    assert!(first_block != image(1, 1), "the first block is written last");
}

#[test]
fn a_target_that_is_none_is_said() {
    let bench = Bench::new();
    bench.push("a", &image(1, 16));
    let store = bench.store();
    let ran = bench.run(&["deploy", "a", "--to", &store]).expect(5);
    let expected =
        format!("inaug: {store}: expected a block device or a regular file, found a directory\n");
    assert_eq!(ran.stderr, expected);
}

/// A plain nginx with the store as a directory of files; gone with its test.
struct Nginx {
    child: Child,
    url: String,
}

impl Nginx {
    /// Serves the store of `bench`. Without nginx on this machine it says so, and there is
    /// none; where everything is tested, that is a failure.
    fn start(bench: &Bench) -> Option<Self> {
        if !Path::new(NGINX).exists() {
            let all = ["CI", "INAUG_TEST_INAUG"].map(std::env::var_os).iter().any(Option::is_some);
            assert!(!all, "no {NGINX}: install nginx-light, as scripts/test does");
            eprintln!("SKIPPED: no {NGINX} on this machine, nothing is compared with it");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let prefix = bench.text("nginx");
        std::fs::create_dir(&prefix).unwrap();
        let config = format!(
            "daemon off; master_process off; pid {prefix}/pid; error_log {prefix}/error.log;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {prefix}/b; proxy_temp_path {prefix}/p;\n\
             fastcgi_temp_path {prefix}/f; uwsgi_temp_path {prefix}/u; scgi_temp_path {prefix}/s;\n\
             server {{ listen 127.0.0.1:{port}; location /depot/ {{ alias {}/; }} }} }}\n",
            bench.store()
        );
        let config = bench.file("nginx.conf", config.as_bytes());
        let mut command = Command::new(NGINX);
        let child = command.args(["-c", &config, "-p", &prefix]).stderr(Stdio::null()).spawn();
        let nginx = Self { child: child.unwrap(), url: format!("http://127.0.0.1:{port}/depot") };
        let started = Instant::now();
        // nginx says nothing when it listens: connecting is how to find out.
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < NGINX_STARTS_WITHIN, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
