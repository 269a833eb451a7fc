//! Programs listed with a resource, found without looking at each.
//!
//! Invariant: what is found is what a look at every rule would find: a rule names some of four things (executable, script,
//! digest, package), and holds when the program has exactly those. So it is looked up under each choice of them.

use super::PeerRule;
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    ops::Deref,
    path::Path,
    sync::Arc,
};

/// Shorter lists are looked through.
const SHORT: usize = 16;

/// What a program is known by, as far as a rule may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks<'a> {
    /// Path of its executable.
    pub(crate) path: &'a Path,
    /// Path of the script it runs, if it is an interpreter.
    pub(crate) script: Option<&'a Path>,
    /// SHA-256 of its file: the script's where there is one.
    pub(crate) digest: &'a [u8; 32],
    /// The package that owns that file.
    pub(crate) package: Option<&'a str>,
}

impl<'a> Marks<'a> {
    /// Every way in which a rule that this program meets may name it.
    fn choices(self) -> impl Iterator<Item = Named<'a>> {
        (0..8_u8).filter(move |choice| choice & 4 == 0 || self.package.is_some()).map(move |choice| Named {
            path: (choice & 1 != 0).then_some(self.path),
            script: self.script,
            digest: (choice & 2 != 0).then_some(self.digest),
            package: self.package.filter(|_| choice & 4 != 0),
        })
    }
}

/// The things a rule names; each either not at all, or as exactly this.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Named<'a> {
    path: Option<&'a Path>,
    script: Option<&'a Path>,
    digest: Option<&'a [u8; 32]>,
    package: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// `None` for a rule that no program meets: one by signer, and one that names nothing.
    fn by(rule: &'a PeerRule) -> Option<Self> {
        let named = Self {
            path: rule.path.as_deref(),
            script: rule.script.as_deref(),
            digest: rule.sha256.as_ref(),
            package: rule.package.as_deref(),
        };
        let names_nothing = named == Self { path: None, script: None, digest: None, package: None };
        (rule.signer.is_none() && !names_nothing).then_some(named)
    }

    fn hold_of(&self, marks: &Marks<'_>) -> bool {
        self.script == marks.script
            && self.path.is_none_or(|path| path == marks.path)
            && self.digest.is_none_or(|digest| digest == marks.digest)
            && (self.package.is_none() || self.package == marks.package)
    }
}

/// Listed programs, in the order of the profile. It never changes, and a copy shares it; a rule any program meets is found in the same time
/// however long the list is.
#[derive(Debug, Clone, Default)]
pub struct PeerList {
    rules: Arc<[PeerRule]>,
    /// There is none for a short list.
    index: Option<Arc<Index>>,
}

/// Places of rules by the hash of what they name; of those that name the same, the first.
#[derive(Debug, Clone, Default)]
struct Index {
    places: HashMap<u64, Box<[u32]>>,
    hasher: RandomState,
}

impl Index {
    fn of(rules: &[PeerRule]) -> Self {
        let hasher = RandomState::new();
        let mut places: HashMap<u64, Vec<u32>> = HashMap::new();
        for (place, rule) in (0_u32..).zip(rules) {
            let Some(named) = Named::by(rule) else { continue };
            let same = places.entry(hasher.hash_one(named)).or_default();
            if !same.iter().any(|other| at(rules, *other).and_then(Named::by) == Some(named)) {
                same.push(place);
            }
        }
        let places = places.into_iter().map(|(hash, places)| (hash, places.into_boxed_slice())).collect();
        Self { places, hasher }
    }

    /// The first rule that names just this.
    fn look_up<'a>(&self, rules: &'a [PeerRule], named: Named<'_>) -> Option<&'a PeerRule> {
        let places = self.places.get(&self.hasher.hash_one(named))?;
        places.iter().filter_map(|place| at(rules, *place)).find(|rule| Named::by(rule) == Some(named))
    }
}

fn at(rules: &[PeerRule], place: u32) -> Option<&PeerRule> {
    rules.get(usize::try_from(place).ok()?)
}

impl PeerList {
    /// The rules this program meets by what they name. Whether its file is guarded well enough is not looked at here.
    pub(crate) fn naming<'a>(&'a self, marks: Marks<'a>) -> impl Iterator<Item = &'a PeerRule> {
        let holds = move |rule: &&PeerRule| Named::by(rule).is_some_and(|named| named.hold_of(&marks));
        let all = if self.index.is_none() { &*self.rules } else { &[] };
        let looked_up = self
            .index
            .iter()
            .flat_map(move |index| marks.choices().filter_map(move |named| index.look_up(&self.rules, named)));
        all.iter().filter(holds).chain(looked_up)
    }
}

impl From<Vec<PeerRule>> for PeerList {
    fn from(rules: Vec<PeerRule>) -> Self {
        let index = (rules.len() > SHORT).then(|| Arc::new(Index::of(&rules)));
        Self { rules: rules.into(), index }
    }
}

impl FromIterator<PeerRule> for PeerList {
    fn from_iter<I: IntoIterator<Item = PeerRule>>(rules: I) -> Self {
        rules.into_iter().collect::<Vec<_>>().into()
    }
}

impl Deref for PeerList {
    type Target = [PeerRule];

    fn deref(&self) -> &[PeerRule] {
        &self.rules
    }
}

impl PartialEq for PeerList {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for PeerList {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATHS: [&str; 4] = ["/usr/bin/a", "/usr/bin/b", "/opt/c", "/opt/d"];
    const PACKAGES: [&str; 3] = ["deb:a", "deb:b", "rpm:a"];

    fn rule() -> impl Strategy<Value = PeerRule> {
        let path = || prop::option::of(prop::sample::select(&PATHS[..]).prop_map(Into::into));
        let digest = prop::option::of((0..4_u8).prop_map(|byte| [byte; 32]));
        let package = prop::option::of(prop::sample::select(&PACKAGES[..]).prop_map(str::to_owned));
        let signer = prop::option::weighted(0.1, Just("signer".to_owned()));
        (path(), prop::option::weighted(0.3, prop::sample::select(&PATHS[..])), digest, package, signer).prop_map(
            |(path, script, sha256, package, signer)| PeerRule {
                path,
                script: script.map(Into::into),
                sha256,
                package,
                signer,
            },
        )
    }

    /// What the words of the contract say, rule by rule.
    fn meets(rule: &PeerRule, marks: &Marks<'_>) -> bool {
        let nothing = (&rule.path, &rule.script, &rule.sha256, &rule.package) == (&None, &None, &None, &None);
        rule.signer.is_none()
            && !nothing
            && rule.script.as_deref() == marks.script
            && rule.path.as_deref().is_none_or(|path| path == marks.path)
            && rule.sha256.as_ref().is_none_or(|digest| digest == marks.digest)
            && rule.package.as_deref().is_none_or(|package| Some(package) == marks.package)
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_look_at_every_rule_finds(
            rules in prop::collection::vec(rule(), 0..80),
            path in prop::sample::select(&PATHS[..]),
            script in prop::option::of(prop::sample::select(&PATHS[..])),
            digest in 0..4_u8,
            package in prop::option::of(prop::sample::select(&PACKAGES[..])),
        ) {
            let digest = [digest; 32];
            let marks = Marks { path: Path::new(path), script: script.map(Path::new), digest: &digest, package };
            let mut scanned: Vec<PeerRule> = rules.iter().filter(|rule| meets(rule, &marks)).cloned().collect();
            let list = PeerList::from(rules.clone());
            prop_assert_eq!(&*list, rules.as_slice(), "the list is as it was written");
            let mut found: Vec<PeerRule> = list.naming(marks).cloned().collect();
            for rules in [&mut scanned, &mut found] {
                rules.sort_by_key(|rule| format!("{rule:?}"));
                rules.dedup();
            }
            prop_assert_eq!(found, scanned);
        }
    }

    #[test]
    fn of_ten_thousand_rules_few_are_looked_at() {
        let rule = |n: u32| PeerRule { path: Some(format!("/usr/bin/tool-{n}").into()), ..PeerRule::default() };
        let list = PeerList::from((0..10_000).map(rule).collect::<Vec<_>>());
        let most_at_once = |list: &PeerList| list.index.as_ref().unwrap().places.values().map(|at| at.len()).max();
        assert!(most_at_once(&list).is_some_and(|most| most <= 2), "{:?} under one hash", most_at_once(&list));
        let marks = |path| Marks { path: Path::new(path), script: None, digest: &[0; 32], package: None };
        assert_eq!(list.naming(marks("/usr/bin/tool-9999")).count(), 1);
        assert_eq!(list.naming(marks("/usr/bin/tool-10000")).count(), 0);
        let same = PeerList::from(vec![rule(1); 10_000]);
        assert_eq!(most_at_once(&same), Some(1), "equal rules are one");
        let unmet = PeerList::from(vec![PeerRule::default(); 10_000]);
        assert_eq!((most_at_once(&unmet), unmet.naming(marks("/usr/bin/tool-1")).count()), (None, 0));
    }
}
