//! The one row of a terminal on which a line is typed: what to send so that it shows the line.
//!
//! Only printable characters, CR and BS are sent, which every terminal since the Teletype takes the
//! same way. A line that is longer than the row is looked at through a window that follows the
//! cursor, so that nothing wraps.

/// Columns used: one less than 80, since some terminals wrap when the last one is written.
pub(super) const WIDTH: usize = 79;

/// Columns of a prompt at most: the rest is for what is typed.
const PROMPT_MAX: usize = 50;

/// How far the window moves at once: a row that is sent again for each character is slow to look at
/// on a serial line.
const JUMP: usize = 12;

/// What a terminal shows of the line being typed.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    prompt: Vec<char>,
    /// On the terminal now, the prompt included.
    cells: Vec<char>,
    /// The terminal's column.
    column: usize,
    /// First character of the line that is in the window.
    offset: usize,
}

impl Row {
    /// An empty row for lines after `prompt`.
    pub(super) fn new(prompt: &str) -> Self {
        let prompt = prompt.chars().map(cell).take(PROMPT_MAX).collect();
        Self { prompt, ..Self::default() }
    }

    /// What makes the terminal show `text` with the cursor at `at`.
    pub(super) fn show(&mut self, text: &[char], at: usize) -> String {
        let room = WIDTH - self.prompt.len();
        self.follow(at, room);
        let mut cells = self.prompt.clone();
        cells.extend(text.iter().skip(self.offset).take(room - 1).copied().map(cell));
        if self.offset > 0 {
            cells[self.prompt.len()] = '<';
        }
        if text.len() > self.offset + room - 1 {
            cells[WIDTH - 2] = '>';
        }
        let column = self.prompt.len() + at - self.offset;
        self.change_to(cells, column)
    }

    /// What makes the row blank, with the cursor at its start.
    pub(super) fn erase(&mut self) -> String {
        let echo = format!("\r{}\r", " ".repeat(self.cells.len()));
        (self.cells, self.column) = (Vec::new(), 0);
        // Nothing is sent for nothing.
        if echo.len() == 2 { String::new() } else { echo }
    }

    /// The terminal is at the start of an empty row now, whatever it was told before.
    pub(super) fn forget(&mut self) {
        (self.cells, self.column) = (Vec::new(), 0);
    }

    /// Moves the window where the cursor is, never onto a mark at its edges.
    fn follow(&mut self, at: usize, room: usize) {
        if at <= self.offset {
            self.offset = at.saturating_sub(JUMP);
        } else if at > self.offset + room - 3 {
            self.offset = at + JUMP - (room - 3);
        }
    }

    fn change_to(&mut self, mut cells: Vec<char>, column: usize) -> String {
        let used = cells.len();
        // What is longer now is overwritten by blanks.
        cells.resize(used.max(self.cells.len()), ' ');
        let differs = |index: &usize| self.cells.get(*index) != cells.get(*index);
        let first = (0..cells.len()).find(differs);
        let last = (0..cells.len()).rev().find(differs);
        let mut echo = String::new();
        if let (Some(first), Some(last)) = (first, last) {
            self.travel(first, &cells, &mut echo);
            echo.extend(&cells[first..=last]);
            self.column = last + 1;
        }
        self.travel(column, &cells, &mut echo);
        cells.truncate(used);
        self.cells = cells;
        echo
    }

    /// Moves the cursor: to the left by BS, to the right over what stands there.
    fn travel(&mut self, to: usize, cells: &[char], echo: &mut String) {
        if to < self.column {
            echo.extend(std::iter::repeat_n('\x08', self.column - to));
        } else {
            echo.extend(&cells[self.column..to]);
        }
        self.column = to;
    }
}

/// How a character is shown: those of which it is not certain that every terminal gives them one
/// column are shown as `?`. Latin, Greek and Cyrillic, punctuation and currencies have one.
fn cell(c: char) -> char {
    match c {
        '\u{ad}' => '?',
        ' '..='~'
        | '\u{a0}'..='\u{2ff}'
        | '\u{370}'..='\u{373}'
        | '\u{384}'..='\u{482}'
        | '\u{48a}'..='\u{52f}'
        | '\u{2010}'..='\u{2027}'
        | '\u{20a0}'..='\u{20b5}' => c,
        _ => '?',
    }
}
