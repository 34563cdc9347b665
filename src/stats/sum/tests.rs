//! The sum against an oracle of big integers, which shares no idea with it: the result must be
//! nearer to the exact sum than its two neighbours.

use super::*;
use num_bigint::BigInt;
use proptest::prelude::*;

const CASES: u32 = if cfg!(miri) { 4 } else { 2_000 };

/// `value` in units of 2^-1074.
fn exact(value: f64) -> BigInt {
    let field = value.to_bits() >> 52 & 0x7ff;
    let fraction = value.to_bits() & ((1 << 52) - 1);
    let (significand, shift) =
        if field == 0 { (fraction, 0) } else { (fraction | 1 << 52, field - 1) };
    let magnitude = BigInt::from(significand) << shift;
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

fn distance(a: &BigInt, b: &BigInt) -> BigInt {
    if a > b { a - b } else { b - a }
}

/// Asserts that `rounded` is the double nearest to `sum`, ties to even.
fn check_rounded(sum: &BigInt, rounded: Option<f64>) {
    // Where doubles would go on if they had one exponent more.
    let infinity: BigInt = BigInt::from(1) << (1024 + 1074);
    let Some(rounded) = rounded else {
        let beyond = distance(sum, &BigInt::from(0));
        let half_way = exact(f64::MAX) + (BigInt::from(1) << (970 + 1074));
        assert!(beyond >= half_way, "refused, yet in range");
        return;
    };
    assert!(rounded.is_finite());
    assert!(rounded != 0.0 || rounded.is_sign_positive());
    let error = distance(sum, &exact(rounded));
    for neighbour in [rounded.next_up(), rounded.next_down()] {
        let place = match neighbour {
            f64::INFINITY => infinity.clone(),
            f64::NEG_INFINITY => -infinity.clone(),
            finite => exact(finite),
        };
        let other = distance(sum, &place);
        let even = rounded.to_bits() & 1 == 0;
        assert!(error < other || error == other && even, "{rounded:e} is not nearest");
    }
}

fn check(values: &[f64]) {
    let sum = values.iter().fold(Sum::ZERO, |mut sum, &value| {
        sum.add(value);
        sum
    });
    check_rounded(&values.iter().map(|&value| exact(value)).sum(), sum.round());
    let mut at_once = Sum::ZERO;
    at_once.add_all(values, |&value| value);
    assert_eq!(at_once.round().map(f64::to_bits), sum.round().map(f64::to_bits));
    let carried = Sum::of_words(&sum.to_words()).expect("words of a sum");
    assert_eq!(carried.round().map(f64::to_bits), sum.round().map(f64::to_bits));
}

fn sum_of(values: &[f64]) -> Option<f64> {
    let mut sum = Sum::ZERO;
    sum.add_all(values, |&value| value);
    sum.round()
}

/// Any finite double; borders, and neighbours that nearly cancel, far more often than by chance.
fn adversarial() -> impl Strategy<Value = f64> {
    let any_bits = any::<u64>().prop_map(f64::from_bits);
    let near_border = (
        prop::sample::select(vec![
            0.0,
            f64::from_bits(1),
            f64::MIN_POSITIVE,
            1.0,
            9_007_199_254_740_992.0,
            1e16,
            1.7e308,
            f64::MAX,
        ]),
        -2_i64..=2,
        any::<bool>(),
    )
        .prop_map(|(border, steps, negative): (f64, _, _)| {
            let value = f64::from_bits(border.to_bits().saturating_add_signed(steps));
            if negative { -value } else { value }
        });
    let power = (-1074_i32..=1023, any::<bool>()).prop_map(|(exponent, negative)| {
        let value = if exponent < -1022 {
            f64::from_bits(1 << (exponent + 1074))
        } else {
            f64::from_bits(((exponent + 1023) as u64) << 52)
        };
        if negative { -value } else { value }
    });
    prop_oneof![any_bits, near_border, power].prop_filter("finite", |value| value.is_finite())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn is_the_nearest_double(values in prop::collection::vec(adversarial(), 0..40)) {
        check(&values);
    }

    #[test]
    fn cancels_exactly(values in prop::collection::vec(adversarial(), 0..40), rest in adversarial()) {
        let negated = values.iter().rev().map(|value| -value);
        let all: Vec<f64> = values.iter().copied().chain([rest]).chain(negated).collect();
        prop_assert_eq!(sum_of(&all), Some(rest));
    }

    #[test]
    fn neither_order_nor_split_matters(
        values in prop::collection::vec(adversarial(), 1..40),
        shuffled in any::<prop::sample::Index>(),
        shards in 1_usize..5,
    ) {
        let whole = sum_of(&values);
        let mut turned = values.clone();
        turned.rotate_left(shuffled.index(values.len()));
        turned.reverse();
        prop_assert_eq!(sum_of(&turned), whole);
        let mut merged = Sum::ZERO;
        for shard in 0..shards {
            let mut part = Sum::ZERO;
            values.iter().skip(shard).step_by(shards).for_each(|&value| part.add(value));
            merged.merge(&part);
        }
        prop_assert_eq!(merged.round(), whole);
    }

    /// Two values a bit apart from a tie, at any magnitude, with a crumb that decides.
    #[test]
    fn ties_are_decided_by_the_last_bit(
        significand in 1_u64 << 52..1 << 53, exponent in 54_u64..2046, crumb in -1_i32..=1,
    ) {
        let value = f64::from_bits(exponent << 52 | significand & ((1 << 52) - 1));
        let half_unit = f64::from_bits((exponent - 53) << 52);
        let crumb = f64::from(crumb) * f64::from_bits(1);
        check(&[value, half_unit, crumb]);
        check(&[-value, -half_unit, crumb]);
    }
}

#[test]
fn known_sums() {
    let cases: &[(&[f64], Option<f64>)] = &[
        (&[], Some(0.0)),
        (&[-0.0], Some(0.0)),
        (&[1e16, 1.0, -1e16], Some(1.0)),
        (&[0.1; 10], Some(1.0)),
        (&[0.5, 1.5, -2.0], Some(0.0)),
        // Intermediate sums beyond the range.
        (&[f64::MAX, f64::MAX, -f64::MAX], Some(f64::MAX)),
        (&[-f64::MAX, -f64::MAX, f64::MAX, f64::MAX, 3.25], Some(3.25)),
        (&[f64::MAX, f64::MAX], None),
        (&[-f64::MAX, -f64::MAX], None),
        // The overflow border: half a unit in the last place above the largest double.
        (&[f64::MAX, 9.979201547673598e291], Some(f64::MAX)),
        (&[f64::MAX, 9.9792015476736e291], None),
        (&[f64::MAX, 9.9792015476736e291, -5e-324], Some(f64::MAX)),
        (&[-f64::MAX, -9.9792015476736e291], None),
        // The subnormal border.
        (&[5e-324], Some(5e-324)),
        (&[5e-324, 5e-324], Some(1e-323)),
        (&[f64::MIN_POSITIVE, -5e-324], Some(2.225073858507201e-308)),
        (&[2.225073858507201e-308, 5e-324], Some(f64::MIN_POSITIVE)),
        (&[1.0, 5e-324], Some(1.0)),
        (&[1.0, -5e-324], Some(1.0)),
        // Ties: to even, unless something tips them.
        (&[9_007_199_254_740_992.0, 1.0], Some(9_007_199_254_740_992.0)),
        (&[9_007_199_254_740_994.0, 1.0], Some(9_007_199_254_740_996.0)),
        (&[9_007_199_254_740_992.0, 1.0, 5e-324], Some(9_007_199_254_740_994.0)),
        (&[9_007_199_254_740_994.0, 1.0, -5e-324], Some(9_007_199_254_740_994.0)),
    ];
    for (values, expected) in cases {
        assert_eq!(sum_of(values).map(f64::to_bits), expected.map(f64::to_bits), "{values:?}");
        check(values);
    }
}

/// As many additions of the largest magnitude as could overflow a chunk, were carries late.
#[test]
fn carries_are_propagated_in_time() {
    let count = if cfg!(miri) { 5_000 } else { 100_000 };
    for value in [f64::MAX, -f64::MAX, 1.9999999999999998, 5e-324, -1.5] {
        let mut sum = Sum::ZERO;
        for _ in 0..count {
            sum.add(value);
        }
        check_rounded(&(exact(value) * count), sum.round());
        let mut twice = sum.clone();
        twice.merge(&sum);
        twice.merge(&sum);
        check_rounded(&(exact(value) * count * 3), twice.round());
        let unit = [value; 1_000];
        let mut blocks = Sum::ZERO;
        for _ in 0..count / 1_000 {
            blocks.add_all(&unit, |&value| value);
        }
        assert_eq!(blocks.round(), sum.round());
    }
}

#[test]
fn equals_the_challenge() {
    let mut sum = Sum::ZERO;
    (0..1_000_000 / if cfg!(miri) { 100 } else { 1 })
        .for_each(|i| sum.add(f64::from(i % 1_000) + 0.5));
    let expected = if cfg!(miri) { 5_000_000.0 } else { 500_000_000.0 };
    assert_eq!(sum.round(), Some(expected));
}
