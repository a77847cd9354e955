//! GRUB's script cut into statements of words, with quotes and variables done
//! (GRUB's manual, "Writing full configuration files directly").

use super::env::{Environment, variable};

/// All text that variables may add to one script. Each line can name a long
/// variable many times; what is beyond this is dropped.
const MAX_EXPANDED_BYTES: usize = 4 << 20;

/// One command: its words, and the names of variables in it that are not set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) words: Vec<String>,
    pub(super) unresolved: Vec<String>,
    /// Whether it ends with `{`, which is not among the words.
    pub(super) opens_block: bool,
}

/// Where in the script we are.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    budget_bytes: usize,
}

/// A statement while it is put together. A word that is only quotes is empty
/// but there; a variable without a value is not there.
#[derive(Default)]
struct Builder {
    statement: Statement,
    word: Option<String>,
}

impl Builder {
    fn push(&mut self, text: &str) {
        self.word.get_or_insert_default().push_str(text);
    }

    fn end_word(&mut self) {
        self.statement.words.extend(self.word.take());
    }
}

impl<'a> Lexer<'a> {
    pub(super) fn new(script: &'a str) -> Self {
        Self { rest: script, budget_bytes: MAX_EXPANDED_BYTES }
    }

    /// The next statement, with the variables as they are now. `}` is a
    /// statement of its own.
    pub(super) fn next(&mut self, environment: &Environment) -> Option<Statement> {
        let mut builder = Builder::default();
        while let Some(c) = self.rest.chars().next() {
            let at_word_start = builder.word.is_none();
            let at_start = at_word_start && builder.statement.words.is_empty();
            match c {
                '#' if at_word_start => self.skip_comment(),
                '}' if at_start => {
                    self.advance(c);
                    builder.push("}");
                    break;
                }
                '{' if at_word_start => {
                    self.advance(c);
                    builder.statement.opens_block = true;
                    break;
                }
                '\n' | ';' => {
                    self.advance(c);
                    builder.end_word();
                    if !builder.statement.words.is_empty() {
                        break;
                    }
                }
                _ if c.is_whitespace() => {
                    self.advance(c);
                    builder.end_word();
                }
                _ => self.take_part(c, environment, &mut builder),
            }
        }
        builder.end_word();
        let statement = builder.statement;
        (statement.opens_block || !statement.words.is_empty()).then_some(statement)
    }

    /// Takes one quoted, escaped, substituted or plain part of a word.
    fn take_part(&mut self, c: char, environment: &Environment, builder: &mut Builder) {
        match c {
            '\'' => {
                self.advance(c);
                let (text, rest) = self.rest.split_once('\'').unwrap_or((self.rest, ""));
                builder.push(text);
                self.rest = rest;
            }
            '"' => self.take_double_quoted(environment, builder),
            '\\' => {
                self.advance(c);
                if let Some(escaped) = self.rest.chars().next() {
                    self.advance(escaped);
                    if escaped != '\n' {
                        builder.push(escaped.encode_utf8(&mut [0; 4]));
                    }
                }
            }
            '$' => {
                if let Some(value) = self.take_variable(environment, builder) {
                    push_split(&value, builder);
                }
            }
            _ => {
                self.advance(c);
                builder.push(c.encode_utf8(&mut [0; 4]));
            }
        }
    }

    fn take_double_quoted(&mut self, environment: &Environment, builder: &mut Builder) {
        self.advance('"');
        builder.push("");
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => return self.advance(c),
                '\\' if self.rest[1..].starts_with(['"', '\\', '$']) => {
                    builder.push(&self.rest[1..2]);
                    self.rest = &self.rest[2..];
                }
                '$' => {
                    if let Some(value) = self.take_variable(environment, builder) {
                        builder.push(&value);
                    }
                }
                _ => {
                    self.advance(c);
                    builder.push(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
    }

    /// The value of the variable here, if it has one. A dollar sign that
    /// starts none stands for itself.
    fn take_variable(
        &mut self,
        environment: &Environment,
        builder: &mut Builder,
    ) -> Option<String> {
        self.advance('$');
        let Some((name, rest)) = variable(self.rest) else {
            builder.push("$");
            return None;
        };
        self.rest = rest;
        let Some(value) = environment.get(name) else {
            builder.statement.unresolved.push(name.to_owned());
            return None;
        };
        self.budget_bytes = self.budget_bytes.checked_sub(value.len())?;
        Some(value.to_owned())
    }

    fn skip_comment(&mut self) {
        self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end..]);
    }

    fn advance(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
    }
}

/// A variable outside of quotes is cut at white space.
fn push_split(value: &str, builder: &mut Builder) {
    for (index, part) in value.split(char::is_whitespace).enumerate() {
        if index > 0 {
            builder.end_word();
        }
        if !part.is_empty() {
            builder.push(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(script: &str) -> Vec<Vec<String>> {
        let environment = Environment::saved("# GRUB Environment Block\na=1 2\ne=\n");
        let mut lexer = Lexer::new(script);
        let mut statements = Vec::new();
        while let Some(mut statement) = lexer.next(&environment) {
            if statement.opens_block {
                statement.words.push("{".to_owned());
            }
            statements.push(statement.words);
        }
        statements
    }

    #[test]
    fn statements() {
        let cases: [(&str, &[&[&str]]); 9] = [
            ("a b;c # no\n#no\n\nd#e", &[&["a", "b"], &["c"], &["d#e"]]),
            ("a 'b c'\"d $a\\\"\" ''", &[&["a", "b cd 1 2\"", ""]]),
            ("a x$a $e \"$e\" $n", &[&["a", "x1", "2", ""]]),
            (
                "menuentry 'T' --id x {\n linux /k\n}\n",
                &[&["menuentry", "T", "--id", "x", "{"], &["linux", "/k"], &["}"]],
            ),
            ("a b\\\nc \\$a", &[&["a", "bc", "$a"]]),
            (
                "if [ x = y ]; then a; fi",
                &[&["if", "[", "x", "=", "y", "]"], &["then", "a"], &["fi"]],
            ),
            ("linux ${root}/k a={b}", &[&["linux", "/k", "a={b}"]]),
            ("'never closed", &[&["never closed"]]),
            ("\"never closed \\", &[&["never closed \\"]]),
        ];
        for (script, expected) in cases {
            assert_eq!(all(script), expected, "{script}");
        }
    }

    proptest! {
        #[test]
        fn any_text_ends(script in "[a-z${}'\"\\\\;#\n é]{0,200}") {
            prop_assert!(all(&script).len() <= script.len());
        }
    }
}
