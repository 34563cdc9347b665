//! A table of rules for system calls, translated into the program that the kernel runs at each call.
//!
//! The program is classic BPF (seccomp(2)): it loads 32 bits at a time of the call's number, its
//! processor and its six arguments of 64 bits, and compares them with constants. So every argument
//! that is checked here takes two loads. The upper half must always be zero: no argument that is
//! checked has a legitimate value beyond 32 bits, and a check of the lower half alone would let a
//! pointer pass for a null pointer.

use std::mem::offset_of;

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The call happens.
    Allow,
    /// The process ends with `SIGSYS`.
    Die,
    /// The call fails with `EPERM`.
    Refuse,
    /// The call fails with `ENOSYS`, as if the kernel were too old for it.
    Unknown,
}

impl Verdict {
    const fn value(self) -> u32 {
        match self {
            Verdict::Allow => libc::SECCOMP_RET_ALLOW,
            Verdict::Die => libc::SECCOMP_RET_KILL_PROCESS,
            Verdict::Refuse => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            Verdict::Unknown => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        }
    }
}

/// A condition on one argument, which is counted from 0. Each also demands that the upper half of
/// the argument is zero.
#[derive(Clone, Copy, Debug)]
pub enum Check<'a> {
    /// It has this value.
    Is(usize, u32),
    /// It has one of these values.
    OneOf(usize, &'a [u32]),
    /// It has no bits but these.
    Only(usize, u32),
    /// It is at least the first value and at most the second.
    Between(usize, u32, u32),
}

/// What becomes of one system call.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The number of the call.
    pub call: libc::c_long,
    /// Lists of checks, each a way to pass: all checks of one list must hold.
    pub ways: &'a [&'a [Check<'a>]],
    /// The verdict on a call that passes.
    pub then: Verdict,
    /// The verdict on all others.
    pub otherwise: Verdict,
}

/// A call with any arguments.
pub const fn any(call: libc::c_long) -> Rule<'static> {
    Rule { call, ways: &[&[]], then: Verdict::Allow, otherwise: Verdict::Unknown }
}

/// A call that is allowed if all checks of one list hold, and fails otherwise.
pub const fn some(call: libc::c_long, ways: &'static [&'static [Check<'static>]]) -> Rule<'static> {
    Rule { call, ways, then: Verdict::Allow, otherwise: Verdict::Refuse }
}

/// A call that ends the process unless all checks of one list hold.
pub const fn some_or_die(
    call: libc::c_long,
    ways: &'static [&'static [Check<'static>]],
) -> Rule<'static> {
    Rule { call, ways, then: Verdict::Allow, otherwise: Verdict::Die }
}

/// A call that opens a file: fails if all checks of one list hold, and ends the process otherwise.
pub const fn no_file(
    call: libc::c_long,
    ways: &'static [&'static [Check<'static>]],
) -> Rule<'static> {
    Rule { call, ways, then: Verdict::Refuse, otherwise: Verdict::Die }
}

/// A program under construction. The number of the call stays loaded between two rules.
pub struct Filter {
    program: Vec<libc::sock_filter>,
}

/// The processor's name in `seccomp_data` (`AUDIT_ARCH_…` of linux/audit.h).
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else {
    None
};

/// An instruction of a check.
#[derive(Clone, Copy)]
enum Step {
    Load(usize),
    /// Goes to the next step if the loaded number passes the test, otherwise the check fails.
    Need(Test, u32),
    /// The check fails if the loaded number passes the test; otherwise goes to the next step.
    Fail(Test, u32),
    /// Skips this number of steps if the loaded number passes the test.
    Skip(Test, u32, u8),
}

/// A comparison of the loaded number with a constant.
#[derive(Clone, Copy)]
enum Test {
    Equal,
    Greater,
    AtLeast,
    HasBit,
}

impl Filter {
    /// Starts a program that ends the process at a call in another processor's numbers, such as
    /// those of 32-bit programs. Returns `None` on a processor whose calls are not listed.
    pub fn new() -> Option<Filter> {
        let program = vec![
            load(offset_of!(libc::seccomp_data, arch)),
            jump(Test::Equal, ARCHITECTURE?, 1, 0),
            end(Verdict::Die),
            load(offset_of!(libc::seccomp_data, nr)),
        ];
        Some(Filter { program })
    }

    /// Adds a rule. The first rule for a call decides.
    pub fn rule(&mut self, rule: &Rule<'_>) {
        let mut body = Vec::new();
        for way in rule.ways {
            let steps: Vec<Step> = way.iter().flat_map(steps).collect();
            let count = steps.len();
            body.extend(steps.into_iter().enumerate().map(|(i, step)| {
                // A failure goes to the next way, which follows the verdict of this one.
                let fail = short(count - i);
                match step {
                    Step::Load(offset) => load(offset),
                    Step::Need(test, value) => jump(test, value, 0, fail),
                    Step::Fail(test, value) => jump(test, value, fail, 0),
                    Step::Skip(test, value, steps) => jump(test, value, steps, 0),
                }
            }));
            body.push(end(rule.then));
        }
        body.push(end(rule.otherwise));
        self.program.push(jump(Test::Equal, rule.call as u32, 0, short(body.len())));
        self.program.extend(body);
    }

    /// Ends the program with the verdict on every call that has no rule.
    pub fn finish(mut self, verdict: Verdict) -> Vec<libc::sock_filter> {
        self.program.push(end(verdict));
        self.program
    }
}

/// The steps of one check.
fn steps(check: &Check<'_>) -> Vec<Step> {
    use Step::{Fail, Load, Need, Skip};
    let (Check::Is(index, _)
    | Check::OneOf(index, _)
    | Check::Only(index, _)
    | Check::Between(index, ..)) = *check;
    let [lower, upper] = halves(index);
    let mut steps = vec![Load(upper), Need(Test::Equal, 0), Load(lower)];
    match *check {
        Check::Is(_, value) => steps.push(Need(Test::Equal, value)),
        Check::OneOf(_, values) => {
            let (last, others) = values.split_last().expect("a check has a value");
            for (i, value) in others.iter().enumerate() {
                steps.push(Skip(Test::Equal, *value, short(others.len() - i)));
            }
            steps.push(Need(Test::Equal, *last));
        }
        Check::Only(_, bits) => steps.push(Fail(Test::HasBit, !bits)),
        Check::Between(_, first, last) => {
            steps.extend([Need(Test::AtLeast, first), Fail(Test::Greater, last)]);
        }
    }
    steps
}

/// Where the lower and the upper half of an argument lie in `seccomp_data`.
const fn halves(index: usize) -> [usize; 2] {
    let first = offset_of!(libc::seccomp_data, args) + index * size_of::<u64>();
    let second = first + size_of::<u32>();
    if cfg!(target_endian = "big") { [second, first] } else { [first, second] }
}

/// A distance that fits a conditional jump. The rules are constants, which the tests translate.
fn short(distance: usize) -> u8 {
    u8::try_from(distance).expect("a rule has fewer than 256 instructions")
}

fn load(offset: usize) -> libc::sock_filter {
    let code = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    libc::sock_filter { code, jt: 0, jf: 0, k: offset as u32 }
}

/// Skips `jt` instructions if the loaded number passes the test, `jf` otherwise.
fn jump(test: Test, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    let test = match test {
        Test::Equal => libc::BPF_JEQ,
        Test::Greater => libc::BPF_JGT,
        Test::AtLeast => libc::BPF_JGE,
        Test::HasBit => libc::BPF_JSET,
    };
    libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_K | test) as u16, jt, jf, k }
}

fn end(verdict: Verdict) -> libc::sock_filter {
    let code = (libc::BPF_RET | libc::BPF_K) as u16;
    libc::sock_filter { code, jt: 0, jf: 0, k: verdict.value() }
}
