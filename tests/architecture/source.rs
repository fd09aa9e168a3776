//! Reads Rust source just well enough for the laws: comments and strings apart from code, test items blanked, and
//! the paths that code names, with groups (`use a::{b, c}`) expanded.
//!
//! Line numbers always survive: whatever is taken out is replaced by spaces, newline for newline.
//! Absent on purpose: types, macros, name resolution beyond `self`, `super` and `crate`. A law that would need them
//! belongs to clippy.

use std::fs;
use std::path::Path;

/// One file of the tree, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Relative to the repository, with `/` on every system: `src/http/router.rs`.
    pub(crate) path: String,
    /// As it stands in the tree.
    pub(crate) text: String,
    /// The text of its comments; everything else is spaces.
    pub(crate) comments: String,
    /// Its code without comments, string contents and items under `#[cfg(test)]`.
    pub(crate) code: String,
    /// Every path the code names.
    pub(crate) paths: Vec<NamedPath>,
}

/// A path as it is written: `crate::domain::ids` is `["crate", "domain", "ids"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// Written in a `use` that is itself visible (`pub use`, `pub(crate) use`).
    pub(crate) exported: bool,
    /// Written in a `use` of any kind.
    pub(crate) imported: bool,
}

impl SourceFile {
    /// Takes `text` apart as the file at `path`.
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let (code, comments) = separate(text);
        let code = if is_test_file(path) { code } else { blank_test_items(&code) };
        let paths = named_paths(&code);
        Self { path: path.to_owned(), text: text.to_owned(), comments, code, paths }
    }

    /// `["http", "routes"]` for `src/http/routes/mod.rs`; the crate root is empty.
    pub(crate) fn module(&self) -> Vec<String> {
        let inside =
            self.path.strip_prefix("domain/src/").or_else(|| self.path.strip_prefix("src/"));
        let inside = inside.unwrap_or(&self.path).trim_end_matches(".rs");
        let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        module
    }

    /// The path from the crate root on, with `crate`, `self` and `super` resolved; none for an outside crate's path
    /// or a name in scope.
    pub(crate) fn inside_crate(&self, path: &NamedPath) -> Option<Vec<String>> {
        let mut module = self.module();
        let mut rest = path.segments.iter().map(String::as_str).peekable();
        match rest.next()? {
            "crate" => module.clear(),
            "self" => {}
            "super" => {
                module.pop();
                while rest.next_if_eq(&"super").is_some() {
                    module.pop();
                }
            }
            _ => return None,
        }
        module.extend(rest.map(str::to_owned));
        Some(module)
    }

    pub(crate) fn is_test(&self) -> bool {
        is_test_file(&self.path)
    }
}

/// Every `.rs` file below `folders`, in path order.
pub(crate) fn read_tree(root: &Path, folders: &[&str]) -> std::io::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    let mut open: Vec<String> = folders.iter().map(|&folder| folder.to_owned()).collect();
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if Path::new(&path).extension().is_some_and(|extension| extension == "rs") {
                files.push(SourceFile::parse(&path, &fs::read_to_string(root.join(&path))?));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Files that hold tests and nothing else: they may name what they like.
fn is_test_file(path: &str) -> bool {
    let in_src = path.strip_prefix("domain/").unwrap_or(path).strip_prefix("src/");
    in_src.is_none_or(|inside| {
        inside.split('/').any(|part| part == "tests" || part.ends_with("tests.rs"))
    })
}

/// Splits a text into code and comments, each as long as the text. String and character contents are spaces in both.
fn separate(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut code = String::with_capacity(text.len());
    let mut comments = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let (end, is_comment) = match (at(i), at(i + 1)) {
            ('/', '/') => (line_end(&chars, i), true),
            ('/', '*') => (block_comment_end(&chars, i), true),
            ('"', _) => (string_end(&chars, i + 1), false),
            ('\'', '\\') => (string_like_end(&chars, i + 1, '\''), false),
            ('\'', _) if at(i + 2) == '\'' => (i + 3, false),
            ('r' | 'b', _) if !follows_identifier(&chars, i) => match raw_string_end(&chars, i) {
                Some(end) => (end, false),
                None => (i, false),
            },
            _ => (i, false),
        };
        if end == i {
            code.push(at(i));
            comments.push(if at(i) == '\n' { '\n' } else { ' ' });
            i += 1;
            continue;
        }
        for &c in &chars[i..end.min(chars.len())] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(blank);
            comments.push(if is_comment { c } else { blank });
        }
        i = end;
    }
    (code, comments)
}

fn follows_identifier(chars: &[char], i: usize) -> bool {
    i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_')
}

fn line_end(chars: &[char], from: usize) -> usize {
    chars[from..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| from + length)
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = from;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth.saturating_sub(1), i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], from: usize) -> usize {
    string_like_end(chars, from, '"')
}

fn string_like_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut i = from;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            c if c == quote => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"`, `r#"…"#`, `b"…"` or `br#"…"#` starting at `from`; none when no string starts there.
fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let mut i = from;
    if chars[i] == 'b' {
        i += 1;
    }
    let raw = chars.get(i) == Some(&'r');
    if raw {
        i += 1;
    }
    let hashes = chars[i.min(chars.len())..].iter().take_while(|&&c| raw && c == '#').count();
    i += hashes;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    if !raw {
        return Some(string_end(chars, i + 1));
    }
    let closing = |at: usize| {
        chars[at] == '"' && chars[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
    };
    let end =
        (i + 1..chars.len()).find(|&at| closing(at)).map_or(chars.len(), |at| at + 1 + hashes);
    Some(end)
}

/// Blanks the item after each `#[cfg(test)]`, up to its `;` or its closing brace.
fn blank_test_items(code: &str) -> String {
    let mut chars: Vec<char> = code.chars().collect();
    let mark: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut i = 0;
    while i + mark.len() <= chars.len() {
        if chars[i..i + mark.len()] != mark[..] {
            i += 1;
            continue;
        }
        let end = item_end(&chars, i + mark.len());
        for c in &mut chars[i..end] {
            if *c != '\n' {
                *c = ' ';
            }
        }
        i = end;
    }
    chars.into_iter().collect()
}

fn item_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    for (i, c) in chars.iter().enumerate().skip(from) {
        match c {
            ';' if depth == 0 => return i + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return i + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    chars.len()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    /// `::`
    Into,
    Sign(char),
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            ':' if chars.next_if_eq(&':').is_some() => tokens.push((line, Token::Into)),
            c if c.is_alphanumeric() || c == '_' => {
                let mut name = String::from(c);
                while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_')
                {
                    name.push(next);
                }
                tokens.push((line, Token::Name(name)));
            }
            c if c.is_whitespace() => {}
            c => tokens.push((line, Token::Sign(c))),
        }
    }
    tokens
}

fn named_paths(code: &str) -> Vec<NamedPath> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let (mut imported, mut exported) = (false, false);
    let mut i = 0;
    while let Some((_, token)) = tokens.get(i) {
        match token {
            Token::Name(name) if name == "use" => {
                imported = true;
                let before =
                    i.checked_sub(1).and_then(|before| tokens.get(before)).map(|(_, token)| token);
                exported = match before {
                    Some(Token::Name(before)) => before == "pub",
                    Some(Token::Sign(')')) => true,
                    _ => false,
                };
                i += 1;
            }
            Token::Name(_) => i = path_tree(&tokens, i, &[], (imported, exported), &mut found),
            Token::Sign(';') => {
                (imported, exported) = (false, false);
                i += 1;
            }
            _ => i += 1,
        }
    }
    found
}

/// Reads the path that starts at token `i`, with its groups, and returns where it ends.
fn path_tree(
    tokens: &[(usize, Token)],
    mut i: usize,
    prefix: &[String],
    (imported, exported): (bool, bool),
    found: &mut Vec<NamedPath>,
) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens[i].0;
    loop {
        match tokens.get(i).map(|(_, token)| token) {
            Some(Token::Name(name)) => segments.push(name.clone()),
            Some(Token::Sign('*')) => segments.push("*".to_owned()),
            _ => break,
        }
        i += 1;
        if tokens.get(i).map(|(_, token)| token) != Some(&Token::Into) {
            break;
        }
        i += 1;
        if tokens.get(i).map(|(_, token)| token) == Some(&Token::Sign('{')) {
            i += 1;
            while let Some((_, token)) = tokens.get(i) {
                match token {
                    Token::Sign('}') => return i + 1,
                    Token::Name(_) | Token::Sign('*') => {
                        i = path_tree(tokens, i, &segments, (imported, exported), found);
                    }
                    _ => i += 1,
                }
            }
            return i;
        }
    }
    found.push(NamedPath { line, segments, exported, imported });
    i
}
