//! Bytes from a terminal as keys (ECMA-48 control sequences, as xterm, vt220 and the Linux console
//! send them). Sequences may come in pieces; those that mean nothing here are swallowed.

/// A key that does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A printable character.
    Char(char),
    /// Enter: CR, LF, or CR LF.
    Enter,
    /// The character before the cursor goes.
    Backspace,
    /// The character under the cursor goes.
    Delete,
    Left,
    Right,
    Home,
    End,
    /// The line before in the history.
    Up,
    /// The line after.
    Down,
    /// All before the cursor goes (Ctrl-U).
    KillBefore,
    /// All from the cursor on goes (Ctrl-K).
    KillAfter,
    /// The word before the cursor goes (Ctrl-W).
    KillWord,
    /// The line is given up (Ctrl-C).
    Cancel,
    /// The screen is cleared (Ctrl-L).
    Clear,
}

/// No sequence of a key is longer; what is, is a terminal's answer to something or noise, and what
/// follows is taken as typed.
const SEQUENCE_MAX: usize = 32;

/// Takes bytes one by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoder {
    state: State,
    /// A LF that follows a CR is the same Enter.
    after_cr: bool,
}

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Ground,
    /// ESC.
    Escape,
    /// ESC `[`, with its parameters so far.
    Control(Vec<u8>),
    /// ESC `[[`, as the Linux console sends F1 to F5.
    Function,
    /// ESC `O`.
    Shift3,
    /// A string for programs (OSC, DCS, APC, PM), and how much of it came.
    Text(usize),
    /// The first bytes of a UTF-8 character.
    Utf8(Vec<u8>),
}

impl Decoder {
    /// The key that `byte` completes, if any.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        let follows_cr = std::mem::take(&mut self.after_cr);
        // Controls end whatever was begun: Enter after a torn sequence is still Enter.
        if byte < 0x20 || byte == 0x7f {
            let was_text = matches!(self.state, State::Text(_));
            self.state = State::Ground;
            return match byte {
                0x1b => {
                    self.state = State::Escape;
                    None
                }
                // BEL ends a string.
                0x07 if was_text => None,
                b'\n' if follows_cr => None,
                _ => self.control(byte),
            };
        }
        match std::mem::take(&mut self.state) {
            State::Ground => self.plain(byte),
            State::Escape => self.escape(byte),
            State::Control(parameters) => self.sequence(parameters, byte),
            State::Shift3 => final_key(byte, b""),
            State::Text(length) if length < SEQUENCE_MAX => {
                self.state = State::Text(length + 1);
                None
            }
            State::Text(_) | State::Function => None,
            State::Utf8(bytes) => self.utf8(bytes, byte),
        }
    }

    /// Nothing came for long: an ESC alone was the key of that name.
    pub(super) fn pause(&mut self) {
        self.state = State::Ground;
    }

    fn control(&mut self, byte: u8) -> Option<Key> {
        self.after_cr = byte == b'\r';
        // Letters of Emacs and readline, which every shell has.
        let key = match byte {
            b'\r' | b'\n' => Key::Enter,
            0x08 | 0x7f => Key::Backspace,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Cancel,
            0x04 => Key::Delete,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x0b => Key::KillAfter,
            0x0c => Key::Clear,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::KillBefore,
            0x17 => Key::KillWord,
            _ => return None,
        };
        Some(key)
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        if byte < 0x80 {
            return Some(Key::Char(char::from(byte)));
        }
        self.utf8(Vec::new(), byte)
    }

    /// A character is complete, may become one, or is none and is dropped.
    fn utf8(&mut self, mut bytes: Vec<u8>, byte: u8) -> Option<Key> {
        if byte < 0x80 {
            return self.plain(byte);
        }
        bytes.push(byte);
        match std::str::from_utf8(&bytes) {
            Ok(text) => text.chars().next().filter(|c| !c.is_control()).map(Key::Char),
            Err(error) if error.error_len().is_none() => {
                self.state = State::Utf8(bytes);
                None
            }
            Err(_) => None,
        }
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.state = match byte {
            b'[' => State::Control(Vec::new()),
            b'O' => State::Shift3,
            b']' | b'P' | b'X' | b'^' | b'_' => State::Text(0),
            // A letter with Alt, or a sequence of two bytes.
            _ => State::Ground,
        };
        None
    }

    /// Parameters and intermediates go on, a final byte ends it (ECMA-48, 5.4).
    fn sequence(&mut self, mut parameters: Vec<u8>, byte: u8) -> Option<Key> {
        match byte {
            b'[' if parameters.is_empty() => self.state = State::Function,
            0x40..=0x7e => return final_key(byte, &parameters),
            0x20..=0x3f if parameters.len() < SEQUENCE_MAX => {
                parameters.push(byte);
                self.state = State::Control(parameters);
            }
            _ => {}
        }
        None
    }
}

/// What a sequence means by its last byte; modifiers (`1;5`) are not looked at.
fn final_key(byte: u8, parameters: &[u8]) -> Option<Key> {
    let number = parameters.split(|byte| *byte == b';').next().unwrap_or_default();
    let key = match (byte, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        // The keypad's Enter, in application mode.
        (b'M', b"") => Key::Enter,
        _ => return None,
    };
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|byte| decoder.feed(*byte)).collect()
    }

    #[test]
    fn bytes_are_keys() {
        use Key::{Backspace, Char, Delete, Down, End, Enter, Home, Left, Right, Up};
        let table: [(&[u8], &[Key]); 22] = [
            (b"a ", &[Char('a'), Char(' ')]),
            ("é€😀".as_bytes(), &[Char('é'), Char('€'), Char('😀')]),
            (b"\r", &[Enter]),
            (b"\n", &[Enter]),
            (b"\r\n", &[Enter]),
            (b"\r\r\n\n", &[Enter, Enter, Enter]),
            (b"\x08\x7f", &[Backspace, Backspace]),
            (b"\x1b[A\x1b[B\x1b[C\x1b[D", &[Up, Down, Right, Left]),
            (b"\x1bOA\x1bOH\x1bOF", &[Up, Home, End]),
            (b"\x1b[H\x1b[1~\x1b[7~", &[Home, Home, Home]),
            (b"\x1b[F\x1b[4~\x1b[8~\x1b[3~", &[End, End, End, Delete]),
            (b"\x1b[1;5Da", &[Left, Char('a')]),
            // F1 on the Linux console, F5 elsewhere, Alt-x, a report of the cursor.
            (b"\x1b[[Aa\x1b[15~b\x1bxc\x1b[24;80Rd", &[Char('a'), Char('b'), Char('c'), Char('d')]),
            (b"\x1b]0;title\x07a", &[Char('a')]),
            (b"\x1bP1$r\x1b\\a", &[Char('a')]),
            // Torn by Enter, by another ESC.
            (b"\x1b[1\r", &[Enter]),
            (b"\x1b\x1b[A", &[Up]),
            // Not UTF-8: dropped, and what follows is not.
            (b"\xff\xc3a\xe2\x82b", &[Char('a'), Char('b')]),
            (b"\xc2\x85a", &[Char('a')]),
            (b"\x00\x1ca", &[Char('a')]),
            (b"\x01\x05", &[Home, End]),
            (b"\x1bOM", &[Enter]),
        ];
        for (bytes, expected) in table {
            assert_eq!(keys(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn an_endless_sequence_ends() {
        for start in [&b"\x1b["[..], b"\x1b]", b"\x1bP"] {
            let bytes = [start, &[b'1'; 2 * SEQUENCE_MAX], b"a"].concat();
            assert_eq!(keys(&bytes).last(), Some(&Key::Char('a')));
        }
    }

    #[test]
    fn an_escape_alone_takes_nothing_along_after_a_pause() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(0x1b), None);
        decoder.pause();
        assert_eq!(decoder.feed(b's'), Some(Key::Char('s')));
    }
}
