//! What the files of a generation say after a crash or a clean close, and which files are whose.

use std::io;
use std::path::Path;

use super::format::Seed;
use super::journal::{self, Ending};
use super::snapshot::{self, Flaw, Snapshot, sync_dir};
use super::state::{Replay, State};
use crate::error::{Error, ErrorKind, Result};
use crate::io::{Entry, OpenMode, Storage};

/// What was loaded, and what about it a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) notes: Vec<String>,
}

/// The state that the files of `generation` in `dir` stand for; the empty state if there are none.
///
/// Changes nothing. The newest valid snapshot wins, and the journals that continue it are replayed up to the first
/// entry that is torn or missing. A damaged snapshot is reported, and the other one used, if the journals lead from
/// there to the present.
///
/// # Errors
///
/// `Corrupt` if there are files but no way to the present: never a silent reset. `UnsupportedVersion` if a newer
/// version of this crate wrote them. `Io` if they cannot be read.
pub(crate) fn load(storage: &dyn Storage, dir: &Path, generation: u64) -> Result<Loaded> {
    let names = own_files(storage, dir)?;
    let names: Vec<Name> =
        names.into_iter().map(|(_, name)| name).filter(|n| n.generation == generation).collect();
    let last_journal = names.iter().filter_map(Name::journal).max();

    let mut notes = Vec::new();
    let (mut newest, mut damaged) = (None::<Snapshot>, None);
    for slot in snapshot::SLOTS {
        if !names.iter().any(|name| name.role == Role::Snapshot(slot)) {
            continue;
        }
        let path = snapshot::path(dir, generation, slot);
        let file = storage
            .open(&path, OpenMode::Read)
            .map_err(|e| Error::io(e, &path, "open a progress snapshot"))?;
        match snapshot::read(&*file, &path, generation)? {
            Ok(found) if newest.as_ref().is_none_or(|n| n.sequence < found.sequence) => {
                newest = Some(found);
            }
            Ok(_) => {}
            Err(Flaw::Newer(version)) => {
                let why =
                    format!("a newer version wrote this progress snapshot (format {version})");
                return Err(Error::new(ErrorKind::UnsupportedVersion, why).at(&path));
            }
            Err(Flaw::Damaged(why)) => {
                notes.push(format!("the progress snapshot {} is damaged: {why}", path.display()));
                damaged =
                    Some(Error::corrupt(&path, 0, format!("no valid progress snapshot: {why}")));
            }
        }
    }
    let Some(Snapshot { journal, state, .. }) = newest else {
        return match (damaged, last_journal) {
            (Some(error), _) => Err(error),
            (None, Some(number)) => {
                let path = journal::path(dir, generation, number);
                Err(Error::corrupt(&path, 0, "the snapshot that this journal continues is missing"))
            }
            (None, None) => Ok(Loaded { state: State::default(), notes }),
        };
    };

    let (state, last) = follow(storage, dir, generation, (journal, state), &mut notes)?;
    // Whichever snapshot is damaged: if it was the newer one, it named a journal that the replay must have reached.
    if let (Some(error), Some(last), Some(highest)) = (damaged, last, last_journal)
        && last < highest
    {
        return Err(error);
    }
    Ok(Loaded { state, notes })
}

/// Replays journal after journal. Also says which one the replay ended in; `None` if the last one is sealed for good.
fn follow(
    storage: &dyn Storage,
    dir: &Path,
    generation: u64,
    (mut number, state): (u64, State),
    notes: &mut Vec<String>,
) -> Result<(State, Option<u64>)> {
    let mut replay = Replay::from(state);
    while number != 0 {
        let path = journal::path(dir, generation, number);
        let file = match storage.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let why = "the journal that continues the progress snapshot is missing";
                return Err(Error::corrupt(&path, 0, why));
            }
            Err(e) => return Err(Error::io(e, &path, "open a progress journal")),
        };
        match journal::replay(&*file, &path, Seed::new(generation, number), &mut replay)? {
            Ending::Sealed(next) if next == 0 || next > number => number = next,
            Ending::Sealed(_) => {
                return Err(Error::corrupt(&path, 0, "the progress journal continues in its past"));
            }
            Ending::Open => return Ok((replay.into_state(), Some(number))),
            Ending::Torn(offset) => {
                let path = path.display();
                notes.push(format!("the progress journal {path} ends torn at offset {offset}"));
                return Ok((replay.into_state(), Some(number)));
            }
        }
    }
    let mut state = replay.into_state();
    // A close is no death.
    state.let_go();
    Ok((state, None))
}

/// Removes the files of generations before `generation`: once that one is the store's.
pub(crate) fn remove_older(storage: &dyn Storage, dir: &Path, generation: u64) -> Result<()> {
    if remove(storage, dir, |of| of < generation)? { sync_dir(storage, dir) } else { Ok(()) }
}

/// Removes the files of the generations that `goes` picks; says whether there were any.
pub(super) fn remove(
    storage: &dyn Storage,
    dir: &Path,
    goes: impl Fn(u64) -> bool,
) -> Result<bool> {
    let mut any = false;
    for (file, name) in own_files(storage, dir)? {
        if goes(name.generation) {
            let path = dir.join(file);
            storage
                .remove_file(&path)
                .map_err(|e| Error::io(e, &path, "remove an old progress file"))?;
            any = true;
        }
    }
    Ok(any)
}

/// What a file name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    generation: u64,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Journal(u64),
    Snapshot(&'static str),
    Temporary,
}

impl Name {
    /// Only exactly what we write: anything else is not ours, to read or to remove.
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('.');
        let (stem, generation, last) = (parts.next()?, number(parts.next()?)?, parts.next()?);
        let role = match stem {
            "journal" => Role::Journal(number(last)?),
            "progress" if last == "tmp" => Role::Temporary,
            "progress" => Role::Snapshot(snapshot::SLOTS.into_iter().find(|slot| *slot == last)?),
            _ => return None,
        };
        parts.next().is_none().then_some(Self { generation, role })
    }

    const fn journal(&self) -> Option<u64> {
        if let Role::Journal(number) = self.role { Some(number) } else { None }
    }
}

fn number(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}

fn own_files(storage: &dyn Storage, dir: &Path) -> Result<Vec<(String, Name)>> {
    let entries: Vec<Entry> = match storage.list(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io(e, dir, "list the folder")),
    };
    let ours = |entry: Entry| Name::parse(&entry.name).map(|name| (entry.name, name));
    Ok(entries.into_iter().filter_map(ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_we_write_are_ours() {
        for ours in
            ["journal.3.1", "progress.0.a", "progress.18446744073709551615.b", "progress.3.tmp"]
        {
            assert!(Name::parse(ours).is_some(), "{ours}");
        }
        for stray in [
            "journal.3",
            "journal.03.1",
            "journal.3.+1",
            "journal.3.1.bak",
            "progress.3.c",
            "progress.x.a",
            "progress.18446744073709551616.a",
            "Progress.3.a",
            "staging.3.1",
            "journal..1",
            "",
        ] {
            assert_eq!(Name::parse(stray), None, "{stray}");
        }
    }
}
