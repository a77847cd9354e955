//! The one retry policy.
//!
//! Asked again: what may pass by itself (a cut or stalled body, a refused connection,
//! 408, 425, 429, 5xx). Never asked again: 404 and other 4xx, an answer in another
//! format, and wrong bytes, which come wrong again.

use std::time::Duration;

/// How often one thing is tried without any of it arriving.
pub(crate) const TRIES_MAX: u32 = 6;

/// The first pause; each further one doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long to pause before try number `tries` + 1, for `noise` from 0 to 255: between
/// half of the pause and all of it, so that machines that failed together come back apart.
pub(crate) fn pause(tries: u32, noise: u8) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(1 << tries.min(16));
    let pause = doubled.min(PAUSE_MAX);
    pause / 2 + pause / 2 * u32::from(noise) / 255
}

/// Noise for [`pause`], from the hash seed that the standard library draws anew each time.
pub(crate) fn noise() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() as u8
}

/// Does `work` until it gives something, fails for good, or has failed [`TRIES_MAX`] times.
pub(crate) fn retry<T, E>(
    mut work: impl FnMut() -> Result<T, E>,
    is_transient: impl Fn(&E) -> bool,
    mut failed: impl FnMut(),
) -> Result<T, E> {
    let mut tries = 1;
    loop {
        match work() {
            Err(error) if tries < TRIES_MAX && is_transient(&error) => {
                failed();
                std::thread::sleep(pause(tries - 1, noise()));
                tries += 1;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let ms = |tries, noise| pause(tries, noise).as_millis();
        assert_eq!([ms(0, 255), ms(1, 255), ms(2, 255)], [200, 400, 800]);
        assert_eq!([ms(0, 0), ms(1, 0)], [100, 200]);
        assert_eq!(ms(u32::MAX, 255), 10_000);
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let mut tries = 0;
        let result: Result<(), &str> = retry(
            || {
                tries += 1;
                Err("gone")
            },
            |_| false,
            || (),
        );
        assert_eq!((result, tries), (Err("gone"), 1));
    }
}
