//! Runs a configuration from top to bottom and keeps what matters for loading
//! a kernel.

use super::condition::{Branches, decide};
use super::env::Environment;
use super::menu::Item;
use super::words::{Lexer, Statement};

/// A menu longer than this was not made for people.
const MAX_ITEMS: usize = 1024;
/// More words than a command line of the kernel's length can have.
const MAX_WORDS: usize = 4096;
/// Generated files nest five deep.
const MAX_DEPTH: usize = 64;

/// What a configuration comes to.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) environment: Environment,
    pub(super) items: Vec<Item>,
    /// The configuration that this one hands over to.
    pub(super) redirect: Option<String>,
    /// The UUID by which `$root` was searched outside of any item.
    pub(super) search_uuid: Option<String>,
    open: Vec<Block>,
}

/// What a closing word will close.
#[derive(Debug, Clone, Copy)]
enum Block {
    /// An item, by its place in the list.
    Item(usize),
    /// A function: its body is not run.
    Function,
    /// An item beyond what is kept, or a block of no meaning here.
    Other,
    If(Branches),
}

impl Script {
    /// Runs `text` with the variables of `environment`.
    pub(super) fn run(text: &str, environment: Environment) -> Self {
        let mut script = Self { environment, ..Self::default() };
        let mut lexer = Lexer::new(text);
        while let Some(statement) = lexer.next(&script.environment) {
            script.step(&statement);
        }
        script
    }

    fn step(&mut self, statement: &Statement) {
        let mut words = statement.words.get(..MAX_WORDS).unwrap_or(&statement.words);
        // `then a` and `else a` may share a line.
        while let Some(("then" | "do" | "else", rest)) = split(words) {
            if words[0] == "else" {
                self.branch(Some(true));
            }
            words = rest;
        }
        let (command, rest) = split(words).unwrap_or(("", &[]));
        match command {
            "if" => self.open(Block::If(Branches::start(decide(rest)))),
            "elif" => self.branch(decide(rest)),
            "fi" => self.close(|block| matches!(block, Block::If(_))),
            "}" => self.close(|block| !matches!(block, Block::If(_))),
            _ if statement.opens_block => self.open_block(command, rest),
            _ if self.is_active() => self.command(command, rest, &statement.unresolved),
            _ => {}
        }
    }

    fn branch(&mut self, condition: Option<bool>) {
        if let Some(Block::If(branches)) = self.open.last_mut() {
            *branches = branches.next(condition);
        }
    }

    /// Closes the innermost block if it is of the right kind; a script that
    /// is not well formed just goes on.
    fn close(&mut self, is_right: fn(&Block) -> bool) {
        if self.open.last().is_some_and(is_right) {
            self.open.pop();
        }
    }

    fn is_active(&self) -> bool {
        self.open.iter().all(|block| match block {
            Block::If(branches) => branches.is_active(),
            Block::Function => false,
            Block::Item(_) | Block::Other => true,
        })
    }

    fn open(&mut self, block: Block) {
        if self.open.len() < MAX_DEPTH {
            self.open.push(block);
        }
    }

    fn open_block(&mut self, command: &str, words: &[String]) {
        let is_active = self.is_active() && self.items.len() < MAX_ITEMS;
        let block = match command {
            "function" => Block::Function,
            "menuentry" | "submenu" if is_active => {
                let parent = self.item();
                self.items.push(item(words, parent, command == "submenu"));
                Block::Item(self.items.len() - 1)
            }
            _ => Block::Other,
        };
        self.open(block);
    }

    /// The item whose body is being run.
    fn item(&self) -> Option<usize> {
        self.open.iter().rev().find_map(|block| match block {
            Block::Item(index) => Some(*index),
            _ => None,
        })
    }

    fn command(&mut self, command: &str, words: &[String], unresolved: &[String]) {
        match command {
            "linux" | "linux16" | "linuxefi" => self.in_item(|item| {
                item.linux = words.to_vec();
                item.unresolved.extend_from_slice(unresolved);
            }),
            "initrd" | "initrd16" | "initrdefi" => self.in_item(|item| {
                item.initrds = words.to_vec();
                item.unresolved.extend_from_slice(unresolved);
            }),
            "search" | "search.fs_uuid" => self.search(command, words),
            "configfile" | "source" | "." if self.item().is_none() => {
                self.redirect = self.redirect.take().or_else(|| words.first().cloned());
            }
            "set" => words.iter().for_each(|word| self.assign(word)),
            "unset" => words.iter().for_each(|word| self.environment.unset(word)),
            _ if words.is_empty() => self.assign(command),
            _ => {}
        }
    }

    fn in_item(&mut self, change: impl FnOnce(&mut Item)) {
        if let Some(item) = self.item().and_then(|index| self.items.get_mut(index)) {
            change(item);
        }
    }

    fn assign(&mut self, word: &str) {
        if let Some((name, value)) = word.split_once('=') {
            self.environment.set(name, value);
        }
    }

    /// `search --fs-uuid UUID` and `search.fs_uuid UUID root`.
    fn search(&mut self, command: &str, words: &[String]) {
        let by_uuid = |word: &String| matches!(word.as_str(), "--fs-uuid" | "-u");
        let uuid = if command == "search.fs_uuid" {
            words.first()
        } else if words.iter().any(by_uuid) {
            words.iter().rfind(|word| !word.starts_with('-') && word.contains('-'))
        } else {
            None
        };
        let Some(uuid) = uuid.cloned() else { return };
        match self.item() {
            Some(index) => self.items[index].search_uuid = Some(uuid),
            None => self.search_uuid = Some(uuid),
        }
    }
}

fn split(words: &[String]) -> Option<(&str, &[String])> {
    words.split_first().map(|(first, rest)| (first.as_str(), rest))
}

fn item(words: &[String], parent: Option<usize>, is_submenu: bool) -> Item {
    let id = words.iter().position(|word| word == "--id").and_then(|at| words.get(at + 1));
    let short = words.iter().find_map(|word| word.strip_prefix("--id="));
    Item {
        title: words.first().cloned().unwrap_or_default(),
        id: id.cloned().or(short.map(str::to_owned)),
        parent,
        is_submenu,
        ..Item::default()
    }
}
