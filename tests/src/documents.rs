//! The examples in the documents, as they are written there.

use crate::repository;
use std::fs;

/// A fenced block of a document.
#[derive(Debug, Clone)]
pub struct Block {
    /// The heading it stands under, without its marks.
    pub heading: String,
    /// The word behind the fence; empty where there is none.
    pub language: String,
    /// What is in it.
    pub text: String,
    /// The line of its first fence, for messages.
    pub line: usize,
}

/// The fenced blocks of a document of the repository, in their order.
///
/// # Panics
/// When there is no such document, or a block has no end.
pub fn blocks(name: &str) -> Vec<Block> {
    let text = fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (mut found, mut open, mut heading) = (Vec::new(), None::<Block>, String::new());
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (heading, language) = (heading.clone(), language.trim().to_owned());
                open = Some(Block { heading, language, text: String::new(), line: index + 1 });
            }
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, None) if line.starts_with('#') => line.trim_start_matches('#').trim().clone_into(&mut heading),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name}: a block without an end");
    found
}
