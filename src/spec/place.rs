//! Where in a JSON file something stands, for messages.

use std::fmt;

/// A file and the path of keys and indices to one value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: String,
    path: String,
}

impl Place {
    /// Returns the place of the whole file.
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), path: String::new() }
    }

    /// Returns the name of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the path inside the file, empty for the whole of it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the place of a member of the object that stands here.
    pub fn key(&self, key: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let plain = !key.is_empty() && !key.contains(['.', '[', '`', '"']);
        let key = shown(key);
        let path = if plain { format!("{}{dot}{key}", self.path) } else { format!("{}{dot}\"{key}\"", self.path) };
        Self { file: self.file.clone(), path }
    }

    /// Returns the place of an element of the list that stands here.
    pub fn index(&self, index: usize) -> Self {
        Self { file: self.file.clone(), path: format!("{}[{index}]", self.path) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, ": {}", self.path) }
    }
}

/// Returns a text fit for a message: cut to a readable length, without control characters.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_those_of_a_program() {
        let place = Place::new("spec.json").key("repositories").key("a.b").key("cmd").index(2);
        assert_eq!(place.to_string(), "spec.json: repositories.\"a.b\".cmd[2]");
        assert_eq!(Place::new("ENVS").to_string(), "ENVS");
    }

    #[test]
    fn texts_of_strangers_are_cut_and_cannot_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[2J\n"), "a\\u{1b}[2J\\n");
        assert_eq!(shown(&"é".repeat(100)).chars().count(), 81);
    }
}
