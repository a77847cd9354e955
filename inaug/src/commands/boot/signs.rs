//! What the console says of a boot's end.

use super::outcome::{Failure, Outcome};
use super::stages::of_inaugurator;
use super::test_command::NO_PORT;

/// What a kernel says before it tells where it was.
const PANIC: &str = "Kernel panic - not syncing";

/// What it says last.
const PANIC_END: &str = "---[ end Kernel panic";

/// What the inaugurator says after its report, when nothing more is to be learnt from it.
const AFTER_REPORT: [&str; 2] = ["init: powering off in ", "init: rebooting in "];

/// What it says last: the next kernel starts. Whose it is stands between the two.
const HANDED_OVER: [&str; 2] = ["] kexec: starting the ", " kernel"];

/// What it says where it resets the machine, after the reason.
const REBOOTS: [&str; 2] = ["; rebooting instead", "; its own boot loader takes over"];

/// A kernel says its command line in several ways: those words were given, nothing came of them.
const COMMAND_LINE: &str = "ommand line";

/// Lines of a plan that are kept: it has one screen.
const PLAN_MAX_LINES: usize = 64;

/// Something on the console that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sign {
    /// What is waited for.
    Goal(String),
    /// A kernel panics: what follows says where.
    Panic,
    /// The end of the boot.
    End(Outcome),
}

/// A label that the machine is to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) label: String,
    /// Of its manifest, as the inaugurator writes it.
    pub(super) digest: String,
}

/// Looks for signs, line by line.
#[derive(Debug)]
pub(super) struct Signs {
    /// The text that is waited for; `None` is a login prompt.
    expect: Option<String>,
    labels: Vec<Expected>,
    failure: Option<Failure>,
    panic: Option<String>,
    /// Why the machine was to be reset.
    reboots: Option<String>,
    /// The deployed kernel was started: only what comes from there on can be the goal.
    handed_over: bool,
    /// The plan, without its clock.
    plan: Vec<String>,
}

impl Signs {
    pub(super) fn new(expect: Option<String>, labels: Vec<Expected>) -> Self {
        let (failure, panic, reboots, plan) = (None, None, None, Vec::new());
        Self { expect, labels, failure, panic, reboots, handed_over: false, plan }
    }

    /// A line as far as it has come, its blanks included: a prompt has no end.
    pub(super) fn part(&self, line: &str) -> Option<Sign> {
        let line = self.of_system(line)?;
        let is_goal = match &self.expect {
            Some(text) => line.contains(text.as_str()) && !line.contains(COMMAND_LINE),
            None => is_login(line),
        };
        is_goal.then(|| Sign::Goal(line.trim().to_owned()))
    }

    /// What of a line is the deployed system's. The end of the inaugurator's last one may be lost.
    fn of_system<'a>(&self, line: &'a str) -> Option<&'a str> {
        if self.handed_over {
            return Some(line);
        }
        let [starts, kernel] = HANDED_OVER;
        Some(line.split_once(starts)?.1.split_once(kernel)?.1)
    }

    /// A whole line, without its end.
    pub(super) fn line(&mut self, line: &str) -> Option<Sign> {
        if let Some(failure) = Failure::parse(line.trim_end()) {
            self.failure = Some(failure);
        }
        if line.contains(PANIC_END) {
            return Some(Sign::End(self.at_end()));
        }
        if line.contains(PANIC) {
            self.panic.get_or_insert_with(|| line.trim().to_owned());
            return Some(Sign::Panic);
        }
        if line.contains(NO_PORT) {
            return Some(Sign::End(Outcome::NoPort));
        }
        let goal = self.part(line);
        self.handed_over |= line.contains(HANDED_OVER[0]);
        let said = of_inaugurator(line).and_then(|said| self.inaugurator(said.trim_end()));
        said.or(goal)
    }

    /// What the inaugurator says of itself.
    fn inaugurator(&mut self, said: &str) -> Option<Sign> {
        if let Some(plan) = said.strip_prefix("plan: ") {
            let is_kept = self.plan.len() < PLAN_MAX_LINES && !plan.contains('%');
            self.plan.extend(is_kept.then(|| plan.to_owned()));
        }
        if REBOOTS.iter().any(|end| said.starts_with("kexec: ") && said.ends_with(end)) {
            self.reboots = Some(said.to_owned());
        }
        if AFTER_REPORT.iter().any(|text| said.starts_with(text)) {
            return self.failure.clone().map(|failure| Sign::End(Outcome::Failed(failure)));
        }
        self.changed(said).map(Sign::End)
    }

    /// `label: NAME is KIND DIGEST, SIZE`: not what was looked at.
    fn changed(&self, said: &str) -> Option<Outcome> {
        let (name, what) = said.strip_prefix("label: ")?.split_once(" is ")?;
        let (_kind, rest) = what.split_once(' ')?;
        let found = rest.split(',').next()?;
        let of_label = self.labels.iter().filter(|expected| expected.label == name);
        let expected: Vec<String> = of_label.map(|expected| expected.digest.clone()).collect();
        let is_other = !expected.is_empty() && !expected.iter().any(|digest| digest == found);
        let (label, found) = (name.to_owned(), found.to_owned());
        is_other.then_some(Outcome::Changed { label, expected, found })
    }

    /// What to make of a machine that is off, or says no more.
    pub(super) fn at_end(&self) -> Outcome {
        match (&self.panic, &self.failure) {
            (Some(line), _) => Outcome::Panicked(line.clone()),
            (None, Some(failure)) => Outcome::Failed(failure.clone()),
            (None, None) => Outcome::Ended(self.reboots.clone()),
        }
    }

    /// The plan's lines.
    pub(super) fn into_plan(self) -> Vec<String> {
        self.plan
    }
}

/// `HOST login:`, as getty(8) asks.
fn is_login(line: &str) -> bool {
    let Some((host, rest)) = line.trim_end().split_once(" login:") else { return false };
    !host.is_empty() && !host.contains(' ') && (rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;

    const REPORT: &str = "{\"stage\":\"net\",\"category\":\"network\",\"causes\":[\"no card\",\"no \
                          answer\"],\"attempt\":1}";
    const STARTS: &str = "[    3.914] kexec: starting the deployed kernel";

    fn labels() -> Vec<Expected> {
        vec![Expected { label: "debian/12/web".into(), digest: "0123456789ab".into() }]
    }

    fn sign(expect: Option<&str>, lines: &[&str]) -> Option<Sign> {
        let mut signs = Signs::new(expect.map(str::to_owned), labels());
        lines.iter().find_map(|line| signs.line(line))
    }

    #[test]
    fn consoles_tell_the_outcome() {
        let failed = |lines: &[&str]| match sign(None, lines) {
            Some(Sign::End(Outcome::Failed(failure))) => Some((failure.stage, failure.code)),
            _ => None,
        };
        let off = "[   13.001] init: powering off in 10 s; press Enter to stop here";
        assert_eq!(failed(&[REPORT, "== FAILED: net", off]), Some(("net".into(), exit::NETWORK)));
        assert_eq!(failed(&[off]), None);
        for (stage, category, code) in [
            ("disk", "refused", exit::REFUSED),
            ("plan", "storage", exit::STORAGE),
            ("config", "usage", exit::USAGE),
            ("verify", "verification", exit::VERIFICATION),
            ("kexec", "other", exit::FAILED),
        ] {
            let report =
                format!("{{\"stage\":\"{stage}\",\"category\":\"{category}\",\"causes\":[]}}");
            assert_eq!(failed(&[&report, off]), Some((stage.into(), code)));
        }
        let old = "{\"stage\":\"verify\",\"causes\":[\"x\"],\"attempt\":1}";
        assert_eq!(failed(&[old, off]), Some(("verify".into(), exit::VERIFICATION)));

        let goal = |line: &str| Some(Sign::Goal(line.to_owned()));
        assert_eq!(sign(None, &[STARTS, "Debian", "debian login: "]), goal("debian login:"));
        assert_eq!(sign(None, &[STARTS, "a b login: ", "login: ", "x login:y"]), None);
        let hello = &[STARTS, "x login:", "say hello now"];
        assert_eq!(sign(Some("hello"), hello), goal("say hello now"));
        let no_port = Some(Sign::End(Outcome::NoPort));
        let behind_a_prompt = format!("debian login: {NO_PORT}");
        assert_eq!(sign(None, &[NO_PORT]), no_port);
        assert_eq!(sign(None, &[&behind_a_prompt]), no_port);
    }

    #[test]
    fn the_goal_is_met_by_the_deployed_system_alone() {
        let ours = [
            "[    0.000000] Command line: quiet inaugurator.label=debian/12/web",
            "[    1.843] config: label debian/12/web from http://10.0.2.2:1/store",
            "[    2.1] kernel: debian/12/web",
            "[    3.900] kexec: kernel 8 MiB, initrd 9 MiB: root=UUID=1 debian/12/web",
            STARTS,
            "[    0.000000] Command line: root=UUID=1 debian/12/web",
            "[    0.012345] Kernel command line: root=UUID=1 debian/12/web",
            "[    0.012346] Unknown kernel command line parameters \"debian/12/web\", will be",
        ];
        assert_eq!(sign(Some("debian/12/web"), &ours), None);
        let last = [&ours[..], &["this is debian/12/web"]].concat();
        let goal = Some(Sign::Goal("this is debian/12/web".into()));
        assert_eq!(sign(Some("debian/12/web"), &last), goal);
        assert_eq!(sign(None, &["x login: "]), None);
        assert_eq!(sign(Some("kernel"), &[STARTS]), None);
        let joined = format!("{STARTS}debian login: ");
        assert_eq!(sign(None, &[&joined]), Some(Sign::Goal("debian login:".into())));
    }

    #[test]
    fn blanks_are_part_of_what_is_expected() {
        let mut signs = Signs::new(Some("# ".into()), Vec::new());
        signs.line(STARTS);
        assert_eq!(signs.part("root@debian:~#"), None);
        assert_eq!(signs.part("root@debian:~# "), Some(Sign::Goal("root@debian:~#".into())));
    }

    #[test]
    fn a_panic_is_followed_to_its_end() {
        let panic = "[    1.2] Kernel panic - not syncing: VFS";
        let mut signs = Signs::new(None, Vec::new());
        assert_eq!(signs.line(panic), Some(Sign::Panic));
        assert_eq!(signs.line("[    1.3] Call Trace:"), None);
        let panicked = Outcome::Panicked(panic.into());
        assert_eq!(signs.at_end(), panicked);
        let end = "[    1.4] ---[ end Kernel panic - not syncing: VFS ]---";
        assert_eq!(signs.line(end), Some(Sign::End(panicked)));
    }

    #[test]
    fn a_reset_instead_of_the_deployed_kernel_says_why() {
        for said in [
            "kexec: the kernel refuses kexec: it is locked down; rebooting instead",
            "kexec: the label names no kernel; its own boot loader takes over",
        ] {
            let mut signs = Signs::new(None, Vec::new());
            assert_eq!(signs.line(&format!("[    3.914] {said}")), None);
            assert_eq!(signs.at_end(), Outcome::Ended(Some(said.into())));
        }
    }

    #[test]
    fn a_label_that_was_pushed_anew_meanwhile_is_told() {
        let line = |name: &str, digest: &str| {
            let line = format!("[    2.914] label: {name} is tree {digest}, 324 MiB");
            sign(None, &[&line])
        };
        assert_eq!(line("debian/12/web", "0123456789ab"), None);
        assert_eq!(line("debian/12/other", "ba9876543210"), None);
        let changed = Outcome::Changed {
            label: "debian/12/web".into(),
            expected: vec!["0123456789ab".into()],
            found: "ba9876543210".into(),
        };
        assert_eq!(line("debian/12/web", "ba9876543210"), Some(Sign::End(changed)));
    }

    #[test]
    fn the_plan_is_kept_without_its_clock() {
        let mut signs = Signs::new(None, Vec::new());
        for line in [
            "[    3.285] plan: disk    /dev/vda: new",
            "[    3.1] plan: no",
            "[    3.286] plan: 50% read",
        ] {
            signs.line(line);
        }
        assert_eq!(signs.into_plan(), ["disk    /dev/vda: new"]);
    }
}
