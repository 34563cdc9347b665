//! Truncation and flipped bits of real files: each is refused with file and offset, or harmless.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, process};

use super::world::{Kept, recover};
use crate::journal::disk::{Disk, Image};
use crate::journal::layout::{RING_AT, SECTOR_BYTES, STREAM_AT, checkpoint_at, slot_at};
use crate::journal::{Directory, Fsync, Storage, Unusable, open};
use crate::limits::JOURNAL_RECORD_BYTES_MAX;
use crate::sys::files::boot_id;

/// A directory of its own for a test, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("millrace-journal-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(Directory::new(&self.0))
    }

    /// The files as they are now.
    fn image(&self) -> Image {
        let mut image = Image::default();
        for entry in fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            image.insert(&name, fs::read(path).unwrap());
        }
        image
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Real files of two lanes after some commits: one full segment and one begun, and a round of the ring.
/// Returns what they hold.
fn real_files(name: &str, clean: bool) -> (Image, Kept) {
    let folder = Folder::new(name);
    let (recovered, _) = open(folder.storage()).unwrap().visit(1, |_| {}).unwrap();
    let (mut begun, mut lanes) = recovered.begin(2, Fsync::EverySecond, 65_536).unwrap();
    let mut record = 0_u32;
    for round in 0..80 {
        let lane = &mut lanes[round % 2];
        for _ in 0..[4, 9][round % 2] {
            record += 1;
            let mut bytes = record.to_le_bytes().to_vec();
            bytes.resize(JOURNAL_RECORD_BYTES_MAX, round as u8);
            lane.append(&bytes).unwrap();
        }
        lane.commit(format!("round {round}").as_bytes()).unwrap();
        begun.grower.turn(&begun.meters).unwrap();
    }
    if clean {
        begun.control.close().unwrap();
    }
    let image = folder.image();
    let (_, kept) = recover(&Disk::of(image.clone(), boot_id())).unwrap();
    assert_eq!(kept.records.values().sum::<usize>(), record as usize);
    (image, kept)
}

/// The state must be found as it was, or refused for damage in this file, at an offset in it.
fn judge(image: Image, name: &str, kept: &Kept, place: &str) -> bool {
    let length = image.file(name).unwrap().len() as u64;
    match recover(&Disk::of(image, boot_id())) {
        Ok((_, found)) => {
            assert!(found == *kept, "{place}: {found:?}");
            false
        }
        Err(Unusable::Damaged(damage)) => {
            assert_eq!(damage.path, format!("/disk/{name}"), "{place}");
            assert!(damage.offset <= length, "{place}: {damage}");
            true
        }
        Err(Unusable::Newer { path, .. }) => {
            assert_eq!(path, format!("/disk/{name}"), "{place}");
            true
        }
        Err(refusal) => panic!("{place}: {refusal}"),
    }
}

/// Whether to flip every single bit, which takes a quarter of an hour unless it is optimised.
fn every_bit() -> bool {
    std::env::var_os("MILLRACE_EVERY_BIT").is_some()
}

#[test]
fn flipped_bits() {
    for clean in [true, false] {
        let (healthy, kept) = real_files(&format!("flips-{clean}"), clean);
        let (mut refused, mut harmless) = (0, 0);
        for name in ["control", "lane-0001"] {
            for byte in 0..healthy.file(name).unwrap().len() {
                // Every bit where something changes with every commit, one of some bytes elsewhere.
                let sector = (byte / SECTOR_BYTES * SECTOR_BYTES) as u64;
                let often = match name {
                    "control" => byte % 4_096 < SECTOR_BYTES,
                    _ => byte < 64 || [slot_at(41), checkpoint_at(1)].contains(&sector),
                };
                let every = every_bit() || often && !clean;
                let sample = byte % 97 == 0;
                for bit in (0..8).filter(|bit| every || sample && *bit == byte % 8) {
                    let mut image = healthy.clone();
                    image.file_mut(name).unwrap()[byte] ^= 1 << bit;
                    let place = format!("{name}, byte {byte}, bit {bit}");
                    match judge(image, name, &kept, &place) {
                        true => refused += 1,
                        false => harmless += 1,
                    }
                }
            }
        }
        // What is harmless are the zeros between and behind.
        assert!(refused > 500 && harmless > 500, "{refused} refused, {harmless} harmless");
    }
}

#[test]
fn every_flip_of_what_counts_is_refused() {
    let (healthy, kept) = real_files("every-flip", true);
    let used = healthy.file("lane-0000").unwrap();
    let ring = RING_AT as usize..STREAM_AT as usize;
    let written = |byte: &usize| used[*byte] != 0;
    for byte in ring.filter(written).step_by(7).chain(STREAM_AT as usize..used.len()).step_by(11) {
        if used[byte] == 0 {
            continue;
        }
        let mut image = healthy.clone();
        image.file_mut("lane-0000").unwrap()[byte] ^= 0x10;
        assert!(judge(image, "lane-0000", &kept, &format!("byte {byte}")), "byte {byte} passed");
    }
}

#[test]
fn truncated_files() {
    let (healthy, kept) = real_files("cuts", false);
    for name in ["control", "lane-0000"] {
        let length = healthy.file(name).unwrap().len();
        let near = |cut: usize| cut % 4_096 < 3 || cut % 4_096 > 4_093;
        for cut in
            (0..length).filter(|cut| every_bit() || *cut < 600 || near(*cut) || cut % 101 == 0)
        {
            let mut image = healthy.clone();
            image.file_mut(name).unwrap().truncate(cut);
            judge(image, name, &kept, &format!("{name}, cut at {cut}"));
        }
        let mut image = healthy.clone();
        image.remove(name);
        let refusal = recover(&Disk::of(image, boot_id())).unwrap_err();
        assert!(matches!(refusal, Unusable::Missing { .. }), "{refusal}");
    }
}
