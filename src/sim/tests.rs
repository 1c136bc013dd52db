//! Owns: the simulator's own tests: seeds that hold, seeds that failed once, and that a seed is a seed.
//!
//! Must not know: more than `simulate`.
//!
//! The seeds are cut into parts so that a runner of tests can spread them over the machine's cores. Each is run twice, and
//! must give the same trace, byte by byte (I18). `reconciled sim SEED` replays one.

use super::simulate;

/// Seeds per part; there are eight parts.
const PART: u64 = 250;

fn holds(seed: u64) {
    let verdict = simulate(seed);
    assert!(verdict.broken.is_empty(), "seed {seed}: {:#?}", verdict.broken);
    assert_eq!(verdict, simulate(seed), "seed {seed} gives another trace when it is run again");
}

fn part_holds(part: u64) {
    (part * PART..(part + 1) * PART).for_each(holds);
}

#[test]
fn the_invariants_hold_in_part_0() {
    part_holds(0);
}

#[test]
fn the_invariants_hold_in_part_1() {
    part_holds(1);
}

#[test]
fn the_invariants_hold_in_part_2() {
    part_holds(2);
}

#[test]
fn the_invariants_hold_in_part_3() {
    part_holds(3);
}

#[test]
fn the_invariants_hold_in_part_4() {
    part_holds(4);
}

#[test]
fn the_invariants_hold_in_part_5() {
    part_holds(5);
}

#[test]
fn the_invariants_hold_in_part_6() {
    part_holds(6);
}

#[test]
fn the_invariants_hold_in_part_7() {
    part_holds(7);
}
