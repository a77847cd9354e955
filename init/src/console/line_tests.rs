use proptest::prelude::*;

use super::super::editor::LINE_MAX;
use super::super::row::WIDTH;
use super::*;

/// A terminal that knows what every terminal knows: 80 columns, CR, LF, BS, clear.
#[derive(Default)]
struct Terminal {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Terminal {
    fn take(&mut self, text: &str) {
        let text = text.replace(CLEAR, "\x0c");
        for c in text.chars() {
            match c {
                '\r' => self.column = 0,
                // As the kernel sends it with ONLCR.
                '\n' => (self.row, self.column) = (self.row + 1, 0),
                '\x08' => self.column = self.column.checked_sub(1).unwrap(),
                '\x0c' => *self = Self::default(),
                _ => self.put(c),
            }
        }
    }

    fn put(&mut self, c: char) {
        assert!(!c.is_control(), "{c:?}");
        assert!(self.column < WIDTH, "the last column is written");
        self.rows.resize(self.rows.len().max(self.row + 1), Vec::new());
        let row = &mut self.rows[self.row];
        row.resize(row.len().max(self.column + 1), ' ');
        row[self.column] = c;
        self.column += 1;
    }

    fn row(&self, index: usize) -> String {
        let row: String = self.rows.get(index).into_iter().flatten().collect();
        row.trim_end_matches(' ').to_string()
    }
}

struct Desk {
    line: Line,
    terminal: Terminal,
    history: History,
    entered: Vec<Typed>,
}

impl Desk {
    fn new() -> Self {
        let (mut line, mut terminal) = (Line::default(), Terminal::default());
        terminal.take(&line.open("> "));
        Self { line, terminal, history: History::default(), entered: Vec::new() }
    }

    fn types(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let (echo, typed) = self.line.feed(*byte, &self.history);
            self.terminal.take(&echo);
            if typed == Typed::Nothing {
                continue;
            }
            if let Typed::Line(text) = &typed {
                self.history.remember(text);
            }
            self.entered.push(typed);
            let echo = self.line.open("> ");
            self.terminal.take(&echo);
        }
    }

    /// The row shows the line around the cursor, and the terminal's cursor is where it should be.
    fn check(&self) {
        let (text, at) = (self.line.editor.text(), self.line.editor.at());
        let shown = self.terminal.row(self.terminal.row);
        let cell = |index: usize| shown.chars().nth(index).unwrap_or(' ');
        assert!(shown.starts_with('>') && shown.chars().count() < WIDTH, "{shown}");
        let start = self.terminal.column.checked_sub(2).unwrap();
        assert!(start <= at);
        let offset = at - start;
        for column in 2..WIDTH - 1 {
            let (found, index) = (cell(column), offset + column - 2);
            let expected = text.get(index).copied().unwrap_or(' ');
            let is_mark = (column == 2 && offset > 0 && found == '<')
                || (column == WIDTH - 2 && found == '>' && text.len() > index);
            assert!(is_mark || found == expected || found == '?', "{column}: {shown}");
            assert!(!(is_mark && column == self.terminal.column), "on a mark: {shown}");
        }
    }
}

#[test]
fn a_line_is_typed_edited_and_entered() {
    let mut desk = Desk::new();
    desk.types(b"stauts\x08\x08\x08tus");
    assert_eq!(desk.terminal.row(0), "> status");
    desk.types(b"\r\ndisks\x01all \x1b[C\x1b[3~");
    assert_eq!(desk.terminal.row(1), "> all dsks");
    desk.types(b"\x03\n");
    assert_eq!(desk.terminal.row(1), "> all dsks^C");
    let line = |text: &str| Typed::Line(text.into());
    assert_eq!(desk.entered, [line("status"), Typed::Cancel, line("")]);
}

#[test]
fn a_character_costs_a_character() {
    let (mut line, history) = (Line::default(), History::default());
    assert_eq!(line.open("> "), "> ");
    assert_eq!(line.feed(b'a', &history).0, "a");
    assert_eq!(line.feed(0x7f, &history).0, "\x08 \x08");
    assert_eq!(line.feed(0x7f, &history).0, "");
}

#[test]
fn what_is_said_meanwhile_stands_above_the_line() {
    let mut desk = Desk::new();
    desk.types(b"dep");
    let hide = desk.line.hide();
    desk.terminal.take(&hide);
    desk.terminal.take("[    1.000] net: eth0 has carrier\n");
    let show = desk.line.show();
    desk.terminal.take(&show);
    desk.types(b"loy");
    assert_eq!(desk.terminal.row(0), "[    1.000] net: eth0 has carrier");
    assert_eq!(desk.terminal.row(1), "> deploy");
    desk.check();
}

#[test]
fn a_line_entered_elsewhere_is_shown_and_the_own_one_is_kept() {
    let mut desk = Desk::new();
    desk.types(b"half");
    let answered = desk.line.answered("status");
    desk.terminal.take(&answered);
    let again = desk.line.open("> ");
    desk.terminal.take(&again);
    assert_eq!((desk.terminal.row(0), desk.terminal.row(1)), ("> status".into(), "> half".into()));
}

#[test]
fn long_lines_never_wrap() {
    let mut desk = Desk::new();
    let text: String = (0..200).map(|n| char::from(b'a' + n % 26)).collect();
    for byte in text.bytes() {
        desk.types(&[byte]);
        desk.check();
    }
    for _ in 0..200 {
        desk.types(b"\x1b[D");
        desk.check();
    }
    desk.types(b"\x05\x01\x0b");
    desk.check();
    assert_eq!(desk.terminal.row(0), ">");
}

/// Stands for something that init says meanwhile.
const SAID: &[u8] = b"\x00";

fn stroke() -> impl Strategy<Value = Vec<u8>> {
    let keys: Vec<&[u8]> = vec![
        b"\x1b[A",
        b"\x1b[B",
        b"\x1b[C",
        b"\x1b[D",
        b"\x1b[H",
        b"\x1b[F",
        b"\x1b[3~",
        b"\x7f",
        b"\x01",
        b"\x05",
        b"\x15",
        b"\x0b",
        b"\x17",
        b"\x0c",
        b"\r",
        b"\n",
        b"\r\n",
        b"\x03",
        b"some words ",
        b"a long piece of text that soon goes past the edge of the row ",
    ];
    prop_oneof![
        6 => proptest::sample::select(keys).prop_map(<[u8]>::to_vec),
        2 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        2 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => Just(SAID.to_vec()),
    ]
}

proptest! {
    #[test]
    fn whatever_is_typed_the_terminal_shows_it(
        strokes in proptest::collection::vec(stroke(), 0..120),
    ) {
        let mut desk = Desk::new();
        for stroke in strokes {
            if stroke == SAID {
                let (hide, show) = (desk.line.hide(), desk.line.show());
                desk.terminal.take(&(hide + "[    1.000] net: something\n" + &show));
            }
            desk.types(&stroke);
            desk.check();
            prop_assert!(desk.line.editor.text().len() <= LINE_MAX);
        }
    }
}
