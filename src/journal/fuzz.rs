//! What any contents of a state directory must fulfil: it is refused or read, never mistaken; and what
//! salvage makes of it can be read.
//!
//! The input edits a small directory: it writes bytes at places where something stands, cuts files, and,
//! so that a fuzzer gets past the checksums, seals a sector or a segment again after an edit.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::control::ControlFile;
use super::disk::{Disk, Image};
use super::layout::{
    Identity, PAYLOAD_BYTES_MAX, RING_AT, SECTOR_BYTES, SEGMENT_BYTES, STREAM_AT, cells_name,
    checkpoint_at, lane_name, segment_at, u32_at,
};
use super::slot::{self, Slot};
use super::{Fsync, Recovered, Unusable, cells, open, salvage, segment};
use crate::limits::{JOURNAL_CELL_BYTES_MAX, JOURNAL_RECORD_BYTES_MAX, JOURNAL_STATE_BYTES_MAX};

const BOOT: Option<[u8; 16]> = Some([1; 16]);
const INSTANCE_AT: usize = 16;

/// Edits a directory as the input says, reads it, salvages it if it is damaged, and goes on with it.
pub fn directory(input: &[u8]) {
    let Some((&first, mut edits)) = input.split_first() else { return };
    let mut image = healthy().clone();
    while let Some(rest) = edit(&mut image, edits) {
        edits = rest;
    }
    let boot = if first & 1 == 0 { BOOT } else { None };
    let disk = Disk::of(image, boot);
    let recovered = match read(&disk) {
        Ok(recovered) => recovered,
        Err(refusal) => {
            assert_eq!(disk.calls(), 0, "a directory was refused and changed: {refusal}");
            let before = disk.image();
            let kept = match salvage(&disk, |_| {}) {
                Ok(kept) => kept,
                Err(refusal) => {
                    assert!(!refusal.is_damage() || disk.calls() == 0, "{refusal}");
                    return;
                }
            };
            for name in kept {
                let original = name.split(".damaged").next().unwrap_or_default();
                assert_eq!(disk.image().file(&name), before.file(original), "{name} is not kept");
            }
            read(&disk).unwrap_or_else(|refusal| panic!("after salvage: {refusal}"))
        }
    };
    go_on(recovered, &disk);
}

/// Reads everything; what is read must be within its limits.
fn read(disk: &Disk) -> Result<Recovered, Unusable> {
    let recovery = open(Arc::new(disk.clone()))?;
    assert!(recovery.states().all(|state| state.len() <= JOURNAL_STATE_BYTES_MAX));
    let check = |record: &[u8]| assert!((1..=JOURNAL_RECORD_BYTES_MAX).contains(&record.len()));
    let check_cell = |_, _, value: &[u8]| assert!(value.len() <= JOURNAL_CELL_BYTES_MAX);
    let (recovered, _) = recovery.visit(1, check)?;
    recovered.visit_cells(check_cell)?;
    Ok(recovered)
}

/// A start and a commit must work, and be found again.
fn go_on(recovered: Recovered, disk: &Disk) {
    let states: BTreeMap<usize, Vec<u8>> =
        recovered.states().map(<[u8]>::to_vec).enumerate().collect();
    let begun = recovered.begin(2, Fsync::Always, SEGMENT_BYTES as u64);
    let (begun, mut lanes) = begun.unwrap_or_else(|refusal| panic!("a start: {refusal}"));
    lanes[1].append(b"one more").expect("room");
    lanes[1].commit(b"newest").expect("a commit");
    drop(begun);
    let recovered = read(disk).unwrap_or_else(|refusal| panic!("after a commit: {refusal}"));
    for (lane, state) in recovered.states().enumerate() {
        let expected = match lane {
            1 => Some(&b"newest"[..]),
            _ => states.get(&lane).map(Vec::as_slice),
        };
        assert_eq!(state, expected.unwrap_or_default(), "lane {lane}");
    }
}

/// Two lanes, one with a full segment, a checkpoint and some commits.
fn healthy() -> &'static Image {
    static HEALTHY: OnceLock<Image> = OnceLock::new();
    HEALTHY.get_or_init(|| {
        let disk = Disk::new(BOOT);
        let recovered = read(&disk).expect("an empty disk");
        let begun = recovered.begin(2, Fsync::EverySecond, 2 * SEGMENT_BYTES as u64);
        let (_, mut lanes) = begun.expect("a start");
        for round in 0..3_u8 {
            for lane in &mut lanes {
                for _ in 0..100 {
                    lane.append(&[round + 1; JOURNAL_RECORD_BYTES_MAX]).expect("room");
                }
                for index in 0..=u32::from(round) {
                    lane.put_cell(index, &[round; 5]).expect("room");
                }
                lane.commit(&[round; 20]).expect("a commit");
            }
        }
        disk.image()
    })
}

/// Does one edit; returns the rest of the input, or `None` at its end.
///
/// ```text
/// what: 1 byte │ place: 2 bytes │ count: 1 byte │ bytes
/// ```
fn edit<'a>(image: &mut Image, input: &'a [u8]) -> Option<&'a [u8]> {
    let (&[what, low, high, count], rest) = input.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(usize::from(count) % 64)?;
    let name = match what & 3 {
        0 => "control".to_owned(),
        3 => cells_name(1),
        lane => lane_name(usize::from(lane) - 1),
    };
    let at = base(what >> 2 & 7) + usize::from(u16::from_le_bytes([low, high])) % 4_096;
    let Some(file) = image.file_mut(&name) else { return Some(rest) };
    match what >> 5 {
        0 => file.truncate(at),
        1 => image.remove(&name),
        seal => {
            if let Some(room) = file.get_mut(at..at + bytes.len()) {
                room.copy_from_slice(bytes);
            }
            if seal & 1 == 1 {
                seal_again(file, at, &name);
            }
        }
    }
    Some(rest)
}

/// Places where something stands.
fn base(number: u8) -> usize {
    let places = [
        0,
        RING_AT,
        RING_AT + SECTOR_BYTES as u64,
        checkpoint_at(1),
        STREAM_AT,
        segment_at(1) - 16,
        segment_at(1),
        4_096,
    ];
    places[usize::from(number)] as usize
}

/// Makes the checksum fit that covers this place.
fn seal_again(file: &mut [u8], at: usize, name: &str) {
    let sector = at / SECTOR_BYTES * SECTOR_BYTES;
    let Some(instance) = file.first_chunk::<SECTOR_BYTES>().map(|block| &block[INSTANCE_AT..32])
    else {
        return;
    };
    let Ok(instance) = instance.try_into() else { return };
    let lane = name.bytes().next_back().map_or(0, |digit| u32::from(digit - b'0'));
    let identity = Identity { instance, lane };
    if name == "control" {
        if let Some(block) = file.get_mut(sector..).and_then(<[u8]>::first_chunk_mut) {
            ControlFile::seal(block);
        }
    } else if name.starts_with("cells") {
        cells::seal(&identity, file, at);
    } else if at < STREAM_AT as usize {
        if let Some(block) = file.get_mut(sector..).and_then(<[u8]>::first_chunk_mut) {
            slot::seal(identity.seed(), block);
        }
    } else {
        seal_segment(file, at, &identity);
    }
}

/// Seals a full segment, and an open one by the slot that names its end.
fn seal_segment(file: &mut [u8], at: usize, identity: &Identity) {
    let segment = (at - STREAM_AT as usize) / SEGMENT_BYTES;
    let from = segment_at(segment as u32) as usize;
    let Some(bytes) = file.get(from..).and_then(|rest| rest.first_chunk::<SEGMENT_BYTES>()) else {
        return;
    };
    let seed = identity.segment_seed(0, segment as u32);
    let used = u32_at(bytes, PAYLOAD_BYTES_MAX) as usize;
    if segment == 0 {
        let used = used.min(PAYLOAD_BYTES_MAX);
        let trailer = segment::trailer(used, seed.extend(&bytes[..used]));
        file[from + PAYLOAD_BYTES_MAX..from + SEGMENT_BYTES].copy_from_slice(&trailer);
        return;
    }
    let bytes = *bytes;
    for number in 0..64 {
        let place = RING_AT as usize + number * SECTOR_BYTES;
        let Some(block) = file[place..].first_chunk_mut::<SECTOR_BYTES>() else { return };
        if let Some(slot) = Slot::decode(identity.seed(), block).slot()
            && slot.mark.segment as usize == segment
        {
            let crc = seed.extend(&bytes[..slot.mark.used()]).value();
            block[48..52].copy_from_slice(&crc.to_le_bytes());
            slot::seal(identity.seed(), block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::Random;

    #[test]
    fn random_edits() {
        let mut random = Random(5);
        for _ in 0..1_500 {
            let length = 1 + random.below(60);
            let input: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            directory(&input);
        }
    }

    #[test]
    fn edits_that_say_something() {
        // No edit; one flipped byte; a slot with other numbers, sealed; a record's length, sealed.
        for input in [
            &[0][..],
            &[0, 0b0101_0010, 60, 0, 1, 9],
            &[0, 0b0110_0110, 8, 0, 8, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0, 0b0110_1010, 40, 0, 4, 255, 255, 255, 255],
            &[0, 0b0111_1010, 0, 0, 2, 255, 255],
            &[0, 0b0111_0010, 0, 0, 2, 0, 0],
        ] {
            directory(input);
        }
    }
}
