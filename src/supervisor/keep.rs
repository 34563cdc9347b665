//! The state directory in the life of a process: opened at the start, handed over at a restart, closed
//! at the end.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use std::{io, thread};

use super::not_started::NotStarted;
use crate::app;
use crate::app::keeper::{self, Keeper};
use crate::handover::JournalLuggage;
use crate::journal::{self, Directory, Loss, Packed, ReadProgress, Recovered, Storage, Unusable};
use crate::limits::RECOVERY_PROGRESS_MS;
use crate::log;
use crate::options::Options;
use crate::server::Config;
use crate::stats::Recovering;
use crate::sys::files;

/// Names what was before this process.
pub(super) enum Before {
    /// No server.
    Nothing,
    /// A server that hands over, with its journal if it has one.
    Server(Option<JournalLuggage>),
}

/// Reads the state directory, if one was asked for, and keeps what is counted there from now on.
/// A predecessor has handed over the ids already. While ids are read, `is_stopped` is asked whether this
/// process was told to stop.
///
/// # Errors
/// Why the process does not serve.
pub(super) fn keep(
    options: &Options,
    shared: &app::Shared,
    workers: usize,
    origin: Before,
    is_stopped: &dyn Fn() -> bool,
) -> Result<(), NotStarted> {
    let Some(directory) = &options.state else {
        return match origin {
            Before::Nothing | Before::Server(None) => Ok(()),
            Before::Server(Some(_)) => {
                let message = "the running server has a state directory: give --state as well";
                Err(message.to_owned().into())
            }
        };
    };
    let storage = Arc::new(Directory::new(directory));
    let luggage = match origin {
        Before::Nothing => None,
        Before::Server(None) => {
            let message = "the running server has no state directory: stop it, and start the other";
            return Err(message.to_owned().into());
        }
        Before::Server(luggage) => luggage,
    };
    let Some(JournalLuggage { bytes, files }) = luggage else {
        if options.salvage {
            salvage(&storage)?;
        }
        let read = read(storage, shared, &directory.display().to_string(), is_stopped)?;
        let (recovered, ids) = read.ok_or(NotStarted::Stopped)?;
        return Ok(go_on(recovered, ids, options, shared, workers)?);
    };
    let before = shared.statistics.cut().total().events;
    let recovered = journal::receive(storage, &bytes, files);
    let recovered = recovered.map_err(|refusal| refusal.to_string())?;
    go_on(recovered, shared.statistics.recover(), options, shared, workers)?;
    match shared.statistics.cut().total().events == before {
        true => Ok(()),
        false => Err("the state directory differs from what was handed over".to_owned().into()),
    }
}

/// Checks that the state directory can be used, if one was asked for: reads all of it, and changes and
/// makes nothing.
///
/// # Errors
/// The message that a start would end with.
pub(super) fn check(options: &Options) -> Result<(), String> {
    let Some(directory) = &options.state else { return Ok(()) };
    let storage = Arc::new(Directory::new(directory));
    let recovery = journal::open_existing(storage).map_err(|refusal| refusal.to_string())?;
    if let Some(recovery) = recovery {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let visited = recovery.visit(threads, |_| {});
        return visited.map(drop).map_err(|refusal| refusal.to_string());
    }
    // It would be made, or files in it.
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
    let (changed, attempt) = match directory.exists() {
        true => (directory.as_path(), "write"),
        false => (parent.unwrap_or(Path::new(".")), "make"),
    };
    files::check_usable(changed)
        .map_err(|error| Unusable::of(directory.display().to_string(), attempt, error).to_string())
}

/// Makes a damaged directory usable again, without the damaged parts. Logs each loss before it
/// changes anything.
fn salvage(storage: &Directory) -> Result<(), String> {
    let lost = |loss: &Loss| {
        log::error("lost from the state directory", &[("path", &loss.path), ("what", &loss.what)])
    };
    let kept = journal::salvage(storage, lost).map_err(|refusal| refusal.to_string())?;
    for name in kept {
        log::warn("a damaged file is kept", &[("path", &storage.path(&name))]);
    }
    Ok(())
}

/// Reads all ids, with a line of progress every second. Returns `None` if this process is told to stop
/// meanwhile; the directory is as it was then.
fn read(
    storage: Arc<Directory>,
    shared: &app::Shared,
    path: &str,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Option<(Recovered, Recovering)>, String> {
    let began = Instant::now();
    let recovery = journal::open(storage).map_err(|refusal| refusal.to_string())?;
    let mut last = began;
    let progress = |progress: ReadProgress| {
        if last.elapsed().as_millis() >= u128::from(RECOVERY_PROGRESS_MS) {
            last = Instant::now();
            log::info(
                "reading the state directory",
                &[
                    ("bytes", &progress.bytes),
                    ("of", &progress.bytes_total),
                    ("ids", &progress.records),
                ],
            );
        }
        if is_stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let complete = keeper::recover(recovery, &shared.statistics, progress)?;
    let Some((recovered, ids, users)) = complete else { return Ok(None) };
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    log::info("the state directory is read", &[("path", &path), ("ids", &users), ("ms", &ms)]);
    Ok(Some((recovered, ids)))
}

fn go_on(
    recovered: Recovered,
    ids: Recovering,
    options: &Options,
    shared: &app::Shared,
    workers: usize,
) -> Result<(), String> {
    let keeper =
        Keeper::start(recovered, ids, &shared.statistics, workers, options.fsync, options.sandbox)?;
    shared.keep(keeper);
    Ok(())
}

/// Packs the journal for a successor, after the workers have departed; `None` without one.
///
/// # Errors
/// If a worker still has its lane, or something could not be written.
pub(super) fn pack(shared: &app::Shared) -> io::Result<Option<Packed>> {
    if shared.keeper().is_none() {
        return Ok(None);
    }
    let keeper = shared.take_keeper();
    keeper.ok_or_else(|| io::Error::other("a worker has not given its lane back"))?.pack().map(Some)
}

/// Goes on with a journal that was packed for a successor that does not serve.
///
/// # Errors
/// A message for the operator.
pub(super) fn resume(
    packed: Packed,
    options: &Options,
    shared: &app::Shared,
    workers: usize,
) -> Result<(), String> {
    let recovered = packed.unpack().map_err(|refusal| refusal.to_string())?;
    go_on(recovered, shared.statistics.recover(), options, shared, workers)
}

/// Closes the journal, after the workers have ended. Logs a failure, which has no effect on any answer.
pub(super) fn close(shared: &app::Shared) {
    let Some(keeper) = shared.take_keeper() else { return };
    if let Err(error) = keeper.close() {
        log::error("the state directory was not closed cleanly", &[("error", &error)]);
    }
}

/// Returns the number of files of the state directory that are open. A lane stays open also where there
/// are fewer workers by now.
pub(super) fn open_files(shared: &app::Shared) -> usize {
    shared.keeper().map_or(0, |keeper| 1 + 2 * keeper.figures().lanes)
}

/// Returns the configuration with the descriptors that workers may write.
pub(super) fn with_journal(config: Config, shared: &app::Shared) -> Config {
    let descriptors = shared.keeper().and_then(|keeper| keeper.descriptors());
    Config { journal: descriptors.map(|range| (*range.start(), *range.end())), ..config }
}
