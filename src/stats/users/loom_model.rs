//! Every interleaving of two workers in a set whose segments are full with two entries.

use super::*;
use loom::sync::Arc;
use loom::thread;

/// Preemptions a schedule may contain, so that the models end within a second. What loom cannot
/// see here, the bytes of pages and arrays, Miri watches in `tests`.
const PREEMPTIONS_MAX: usize = 2;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(model);
}

/// Hashes that differ in the first bits of the fragment, so that splits part them.
const HASHES: [u64; 4] = [0x1000_0001, 0x9000_0001, 0x5000_0001, 0xd000_0001];

fn insert(users: &Users, id: usize) -> Outcome {
    users.insert(HASHES[id], &[id as u8; 3])
}

#[test]
fn loom_an_id_is_new_once() {
    check(|| {
        let users = Arc::new(Users::new(None));
        let other = {
            let users = Arc::clone(&users);
            thread::spawn(move || insert(&users, 0))
        };
        let mut outcomes = [insert(&users, 0), other.join().unwrap()];
        outcomes.sort_by_key(|&outcome| outcome == Outcome::Known);
        assert_eq!(outcomes, [Outcome::New, Outcome::Known]);
    });
}

/// One worker looks for what is there, while another splits the segment and the directory below
/// it, and recycles the slots it clears.
#[test]
fn loom_a_known_id_is_known_through_a_split() {
    check(|| {
        let users = Arc::new(Users::new(None));
        assert_eq!([insert(&users, 0), insert(&users, 1)], [Outcome::New; 2]);
        let splitter = {
            let users = Arc::clone(&users);
            thread::spawn(move || insert(&users, 2))
        };
        assert_eq!([insert(&users, 1), insert(&users, 0)], [Outcome::Known; 2]);
        assert_eq!(splitter.join().unwrap(), Outcome::New);
        assert_eq!([0, 1, 2].map(|id| insert(&users, id)), [Outcome::Known; 3]);
    });
}

#[test]
fn loom_the_limit_is_exact() {
    check(|| {
        let users = Arc::new(Users::new(Some(1)));
        let other = {
            let users = Arc::clone(&users);
            thread::spawn(move || insert(&users, 1))
        };
        let outcomes = [insert(&users, 0), other.join().unwrap()];
        let new = outcomes.iter().filter(|&&outcome| outcome == Outcome::New).count();
        assert_eq!(new, 1, "{outcomes:?}");
    });
}
