use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

use super::*;

/// The exact sum as a multiple of 2^-1075, rounded by an independent rule: the nearest of the two
/// doubles around it, found by comparing distances as integers.
fn oracle(values: &[f64]) -> Option<f64> {
    let exact: BigInt = values.iter().map(|&value| scaled(value)).sum();
    // Bisect over the doubles, which are ordered like their bits.
    let (mut below, mut above) = (0u64, f64::MAX.to_bits() + 1);
    let magnitude = BigInt::from_biguint(Sign::Plus, exact.magnitude().clone());
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if scaled_bits(middle) <= magnitude { below = middle } else { above = middle }
    }
    let to_below = &magnitude - scaled_bits(below);
    let to_above = scaled_bits(above) - &magnitude;
    let nearest = match to_below.cmp(&to_above) {
        std::cmp::Ordering::Less => below,
        std::cmp::Ordering::Greater => above,
        std::cmp::Ordering::Equal => below + (below & 1),
    };
    let nearest = f64::from_bits(nearest);
    let signed = if exact.sign() == Sign::Minus { -nearest } else { nearest };
    signed.is_finite().then_some(signed)
}

fn scaled(value: f64) -> BigInt {
    let magnitude = scaled_bits(value.abs().to_bits());
    if value < 0.0 { -magnitude } else { magnitude }
}

/// A non-negative double times 2^1075; the bits of infinity count as 2^1024.
fn scaled_bits(bits: u64) -> BigInt {
    let exponent = bits >> FRACTION_BITS;
    let fraction = bits & ((1 << FRACTION_BITS) - 1);
    match exponent {
        0 => BigInt::from(fraction) << 1,
        _ => BigInt::from(fraction | 1 << FRACTION_BITS) << exponent,
    }
}

fn sum_of(values: &[f64]) -> Sum {
    let mut sum = Sum::ZERO;
    values.iter().for_each(|&value| sum.add(value));
    sum
}

fn check(values: &[f64]) {
    let expected = oracle(values).map(f64::to_bits);
    // An exact zero has no sign.
    let expected = expected.map(|bits| if bits == (-0.0f64).to_bits() { 0 } else { bits });
    assert_eq!(sum_of(values).round().map(f64::to_bits), expected, "{values:?}");
}

#[test]
fn known_sums() {
    for (values, expected) in [
        (&[][..], Some(0.0)),
        (&[-0.0], Some(0.0)),
        (&[1e16, 1.0, -1e16], Some(1.0)),
        (&[0.1; 10], Some(1.0)),
        (&[f64::MAX, f64::MAX, -f64::MAX], Some(f64::MAX)),
        (&[f64::MAX, f64::MAX], None),
        (&[-f64::MAX, -f64::MAX], None),
        (&[5e-324, -5e-324], Some(0.0)),
        (&[f64::MIN_POSITIVE, -5e-324], Some(2.225_073_858_507_201e-308)),
    ] {
        assert_eq!(sum_of(values).round(), expected, "{values:?}");
    }
}

#[test]
fn ties_and_borders() {
    let ulp = f64::EPSILON;
    let last = f64::MAX;
    let half_ulp_of_max = 2f64.powi(970);
    let tiny = 5e-324;
    for values in [
        &[1.0, ulp / 2.0][..],
        &[1.0, ulp / 2.0, tiny],
        &[1.0, ulp / 2.0, -tiny],
        &[1.0 + ulp, ulp / 2.0],
        &[-1.0, -ulp / 2.0],
        &[-1.0 - ulp, -ulp / 2.0, tiny],
        &[last, half_ulp_of_max],
        &[last, half_ulp_of_max, -tiny],
        &[-last, -half_ulp_of_max],
        &[-last, -half_ulp_of_max, tiny],
        &[2f64.powi(-1022), -tiny],
        &[2f64.powi(-1022) - tiny, tiny],
        &[tiny; 3],
        &[4.0, -ulp / 8.0],
        &[2f64.powi(53), 1.0],
        &[2f64.powi(53), 3.0],
    ] {
        check(values);
    }
}

#[test]
fn the_largest_double_many_times_and_back() {
    let mut sum = Sum::ZERO;
    for _ in 0..5 * ADDS_BETWEEN_CARRIES {
        sum.add(f64::MAX);
    }
    assert_eq!(sum.round(), None);
    // 2^62 times the largest double, by doubling.
    for _ in 0..50 {
        let copy = sum.clone();
        sum.merge(&copy);
    }
    assert_eq!(sum.round(), None);
    let mut negative = Sum::ZERO;
    for _ in 0..5 * ADDS_BETWEEN_CARRIES {
        negative.add(-f64::MAX);
    }
    for _ in 0..50 {
        let copy = negative.clone();
        negative.merge(&copy);
    }
    sum.merge(&negative);
    assert_eq!(sum.round(), Some(0.0));
}

/// Doubles whose bits, not values, are spread evenly, and neighbours of powers of two.
fn double() -> impl Strategy<Value = f64> {
    let any_bits =
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite());
    let near_one = (-60i32..60, any::<bool>()).prop_map(|(exponent, negative)| {
        let power = 2f64.powi(exponent);
        if negative { -power } else { power }
    });
    let subnormal = (0u64..1 << 53, any::<bool>()).prop_map(|(bits, negative)| {
        let value = f64::from_bits(bits);
        if negative { -value } else { value }
    });
    let huge = (0u64..1 << 53, any::<bool>()).prop_map(|(less, negative)| {
        let value = f64::from_bits(f64::MAX.to_bits() - less);
        if negative { -value } else { value }
    });
    prop_oneof![any_bits, near_one, subnormal, huge, -1e6..1e6f64]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 2000 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn agrees_with_big_integers(values in proptest::collection::vec(double(), 0..40)) {
        check(&values);
    }

    #[test]
    fn what_cancels_leaves_no_trace(values in proptest::collection::vec(double(), 0..40), rest in double()) {
        let mut all: Vec<f64> = values.iter().copied().chain([rest]).collect();
        all.extend(values.iter().map(|value| -value));
        prop_assert_eq!(sum_of(&all).round(), Some(rest + 0.0));
    }

    #[test]
    fn order_and_split_make_no_difference(
        values in proptest::collection::vec(double(), 1..60),
        seed in any::<u64>(),
        shards in 1usize..6,
    ) {
        let whole = sum_of(&values).round().map(f64::to_bits);
        let mut parts = vec![Sum::ZERO; shards];
        let mut shuffled = values;
        let mut state = seed | 1;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(i, (state >> 33) as usize % (i + 1));
        }
        for (i, value) in shuffled.into_iter().enumerate() {
            parts[i % shards].add(value);
        }
        let mut merged = Sum::ZERO;
        parts.iter().for_each(|part| merged.merge(part));
        prop_assert_eq!(merged.round().map(f64::to_bits), whole);
    }
}
