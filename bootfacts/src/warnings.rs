//! Sentences for the operator, gathered on the way.

use crate::BootFactsError;

/// More warnings than this say nothing more; a hostile image could make one
/// for each of its directory entries.
const MAX_WARNINGS: usize = 64;

/// A list of sentences that cannot grow without bound.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Vec<String>);

impl Warnings {
    /// Adds a sentence, unless it was said before.
    pub(crate) fn add(&mut self, sentence: String) {
        if self.0.len() < MAX_WARNINGS && !self.0.contains(&sentence) {
            self.0.push(sentence);
        }
    }

    /// Adds what went wrong with `object`.
    pub(crate) fn failed(&mut self, object: &str, error: &BootFactsError) {
        self.add(format!("{object}: {}", error.chain()));
    }

    /// The sentences, oldest first.
    pub(crate) fn into_sentences(self) -> Vec<String> {
        self.0
    }
}
