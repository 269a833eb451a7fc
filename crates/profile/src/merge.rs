//! One key across the layers: who said what, and which of it counts.
//!
//! Invariant: a higher layer's word wins, a void word still occupies its place, and the user's word never outweighs a
//! stricter one below it.

/// The layers, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// What Daypass does when nobody says anything.
    BuiltIn,
    /// IT's suggestion.
    Recommended,
    /// The user's own profile.
    User,
    /// IT's rule.
    Mandatory,
}

impl Layer {
    /// The layer's name for people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::Recommended => "recommended",
            Self::User => "user",
            Self::Mandatory => "mandatory",
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The layer.
    pub layer: Layer,
    /// The file; `None` for built-in values.
    pub file: Option<String>,
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
}

impl Origin {
    pub(crate) fn built_in() -> Self {
        Self { layer: Layer::BuiltIn, file: None, line: None }
    }
}

/// What one file says about one key; no value = it was there but void.
#[derive(Debug, Clone)]
pub(crate) struct Statement<T> {
    pub(crate) value: Option<T>,
    pub(crate) origin: Origin,
}

/// What the layers say about one key: within a layer the last file's word.
#[derive(Debug, Clone)]
pub(crate) struct Slots<T> {
    pub(crate) recommended: Option<Statement<T>>,
    pub(crate) user: Option<Statement<T>>,
    pub(crate) mandatory: Option<Statement<T>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { recommended: None, user: None, mandatory: None }
    }
}

/// The word that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pick<T> {
    /// Nobody said anything.
    Unsaid,
    /// What was said is void, and nothing below it may take its place.
    Void(Origin),
    /// This.
    Said(T, Origin),
}

impl<T> Pick<T> {
    /// The layer that decided, where one did.
    pub(crate) fn layer(&self) -> Layer {
        match self {
            Self::Unsaid => Layer::BuiltIn,
            Self::Void(origin) | Self::Said(_, origin) => origin.layer,
        }
    }

    /// Where the value came from, if there is one.
    pub(crate) fn origin(self) -> Option<Origin> {
        match self {
            Self::Said(_, origin) => Some(origin),
            _ => None,
        }
    }

    /// The value, if there is one.
    pub(crate) fn value(&self) -> Option<&T> {
        match self {
            Self::Said(value, _) => Some(value),
            _ => None,
        }
    }
}

impl<T: Clone> From<&Statement<T>> for Pick<T> {
    fn from(statement: &Statement<T>) -> Self {
        match &statement.value {
            Some(value) => Self::Said(value.clone(), statement.origin.clone()),
            None => Self::Void(statement.origin.clone()),
        }
    }
}

impl<T: Clone> Slots<T> {
    /// Takes a file's word; files come in the order in which they count.
    pub(crate) fn put(&mut self, statement: Statement<T>) {
        if let Some(slot) = self.slot(statement.origin.layer) {
            *slot = Some(statement);
        }
    }

    /// As [`Self::put`], but once void a layer stays void: for tables, whose lost keys no later file replaces.
    pub(crate) fn put_table(&mut self, statement: Statement<T>) {
        if let Some(slot) = self.slot(statement.origin.layer)
            && slot.as_ref().is_none_or(|earlier| earlier.value.is_some())
        {
            *slot = Some(statement);
        }
    }

    fn slot(&mut self, layer: Layer) -> Option<&mut Option<Statement<T>>> {
        match layer {
            Layer::BuiltIn => None,
            Layer::Recommended => Some(&mut self.recommended),
            Layer::User => Some(&mut self.user),
            Layer::Mandatory => Some(&mut self.mandatory),
        }
    }

    /// What the managed layers alone say.
    pub(crate) fn managed(&self) -> Pick<T> {
        self.mandatory.as_ref().or(self.recommended.as_ref()).map_or(Pick::Unsaid, Pick::from)
    }

    /// The highest word. The user cannot mend a managed word that is void.
    pub(crate) fn highest(&self) -> Pick<T> {
        let mended = self.user.as_ref().filter(|_| self.recommended.as_ref().is_none_or(|r| r.value.is_some()));
        self.mandatory.as_ref().or(mended).or(self.recommended.as_ref()).map_or(Pick::Unsaid, Pick::from)
    }

    /// The word that counts where the user may only be stricter. `strict(new, old)` tells whether `new` is at least as
    /// strict as `old`; `strictest(old)` is how a void word is read; a user's word that is looser is handed to `refused`.
    pub(crate) fn strict(
        &self,
        built_in: T,
        strict: impl Fn(&T, &T) -> bool,
        strictest: impl Fn(&T) -> T,
        refused: impl FnOnce(&Origin, &T),
    ) -> (T, Origin) {
        let mut counts = (built_in, Origin::built_in());
        if let Some(said) = &self.recommended {
            counts = (said.value.clone().unwrap_or_else(|| strictest(&counts.0)), said.origin.clone());
        }
        if let Some(said) = &self.user {
            match &said.value {
                None => counts = (strictest(&counts.0), said.origin.clone()),
                Some(value) if strict(value, &counts.0) => counts = (value.clone(), said.origin.clone()),
                Some(_) if self.mandatory.is_some() => {}
                Some(_) => refused(&said.origin, &counts.0),
            }
        }
        if let Some(said) = &self.mandatory {
            counts = (said.value.clone().unwrap_or_else(|| strictest(&counts.0)), said.origin.clone());
        }
        counts
    }
}
