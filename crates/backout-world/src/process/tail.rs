//! The last of what a program wrote.

use std::collections::VecDeque;

/// The last bytes of an output, and how many there were in all.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    bytes: VecDeque<u8>,
    most: usize,
    written: u64,
}

impl Tail {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: VecDeque::new(), most, written: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.written = self.written.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let kept = bytes.get(bytes.len().saturating_sub(self.most)..).unwrap_or_default();
        let over = (self.bytes.len() + kept.len()).saturating_sub(self.most);
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend(kept);
    }

    /// How many bytes were written in all.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether something was left out.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.written > u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// The bytes that were kept.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into()
    }

    /// The last lines that say anything, without control characters, oldest first.
    #[must_use]
    pub fn last_lines(&self, most: usize) -> Vec<String> {
        let (front, back) = self.bytes.as_slices();
        let text = String::from_utf8_lossy(&[front, back].concat()).into_owned();
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(most)..].to_vec()
    }
}
