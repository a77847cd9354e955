//! The one retry policy.
//!
//! Asked again: what may pass by itself (a cut or stalled body, a refused connection,
//! 408, 425, 429, 5xx). Never asked again: 404 and other 4xx, an answer in another
//! format, and wrong bytes, which come wrong again: except that a piece of a pack which no other store
//! has is asked for once more, since a box on the way may have changed it. A server that says when to come again
//! (`Retry-After`) is obeyed, within a bound.

use std::time::Duration;
use store::manifest_reader::ReadError;
use store::source::SourceError;

/// How often one thing is tried without any of it arriving.
pub(crate) const TRIES_MAX: u32 = 6;

/// The first pause; each further one doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What a server asks for is obeyed up to this: a store that restarts or sheds load is back in
/// a minute; one that is away for longer is better said to be away.
const ASKED_MAX: Duration = Duration::from_mins(1);

/// A failure that says of itself whether and when to ask again.
pub(crate) trait Passing {
    /// Whether asking again can help.
    fn is_transient(&self) -> bool;

    /// How long the server asks to be left alone.
    fn retry_after(&self) -> Option<Duration>;
}

/// How long to pause after `tries` tries, the last of which ended in `error`, for `noise` from
/// 0 to 255.
pub(crate) fn pause(tries: u32, error: &impl Passing, noise: u8) -> Duration {
    own_pause(tries, noise) + error.retry_after().unwrap_or_default().min(ASKED_MAX)
}

/// Between half of the pause and all of it, so that machines that failed together come
/// back apart; so it comes on top of what a server tells them all alike.
fn own_pause(tries: u32, noise: u8) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16));
    let pause = doubled.min(PAUSE_MAX);
    pause / 2 + pause / 2 * u32::from(noise) / 255
}

/// Noise for [`pause`], from the hash seed that the standard library draws anew each time.
pub(crate) fn noise() -> u8 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() as u8
}

/// Does `work` until it gives something, fails for good, or has failed `tries_max` times.
pub(crate) fn retry_at_most<T, E: Passing>(
    tries_max: u32,
    work: impl FnMut() -> Result<T, E>,
    mut failed: impl FnMut(),
) -> Result<T, E> {
    retry_from(tries_max, work, || {
        failed();
        false
    })
}

/// The same for work that goes on where it broke: `failed` says whether enough came since the
/// last failure to start counting anew. Enough must be so much that it ends some time.
pub(crate) fn retry_from<T, E: Passing>(
    tries_max: u32,
    mut work: impl FnMut() -> Result<T, E>,
    mut failed: impl FnMut() -> bool,
) -> Result<T, E> {
    let mut tries = 1;
    loop {
        match work() {
            Err(error) if tries < tries_max && error.is_transient() => {
                if failed() {
                    tries = 1;
                }
                std::thread::sleep(pause(tries, &error, noise()));
                tries += 1;
            }
            result => return result,
        }
    }
}

impl Passing for SourceError {
    fn is_transient(&self) -> bool {
        self.is_transient()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

impl Passing for ReadError {
    fn is_transient(&self) -> bool {
        self.is_transient()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failed {
        passes: bool,
        asked_s: Option<u64>,
    }

    impl Passing for Failed {
        fn is_transient(&self) -> bool {
            self.passes
        }

        fn retry_after(&self) -> Option<Duration> {
            self.asked_s.map(Duration::from_secs)
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let error = Failed { passes: true, asked_s: None };
        let ms = |tries, noise| pause(tries, &error, noise).as_millis();
        assert_eq!([ms(1, 255), ms(2, 255), ms(3, 255)], [200, 400, 800]);
        assert_eq!([ms(1, 0), ms(2, 0)], [100, 200]);
        assert_eq!(ms(u32::MAX, 255), 10_000);
    }

    #[test]
    fn what_a_server_asks_for_is_added_up_to_a_bound() {
        let ms = |asked_s| {
            let error = Failed { passes: true, asked_s: Some(asked_s) };
            pause(1, &error, 255).as_millis()
        };
        assert_eq!([ms(0), ms(3), ms(60)], [200, 3200, 60_200]);
        assert_eq!([ms(61), ms(u64::MAX)], [60_200, 60_200]);
    }

    #[test]
    fn tries_are_counted_anew_while_something_comes() {
        let (mut tries, mut came) = (0, 0);
        let result = retry_from(
            TRIES_MAX,
            || {
                tries += 1;
                Err::<(), _>(Failed { passes: tries <= 8, asked_s: None })
            },
            || {
                came += 1;
                true
            },
        );
        assert_eq!((result.is_err(), tries, came), (true, 9, 8));
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let mut tries = 0;
        let result = retry_at_most(
            TRIES_MAX,
            || {
                tries += 1;
                Err::<(), _>(Failed { passes: false, asked_s: None })
            },
            || (),
        );
        assert_eq!((result.is_err(), tries), (true, 1));
    }
}
