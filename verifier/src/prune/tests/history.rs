//! What an entry of history holds.

use skep_isa::Reg;

use super::super::history::{Entries, History, HistoryEntry, HistoryFlags, LinkedAt, LinkedRegs};

#[test]
fn an_entry_takes_sixteen_bytes() {
    assert_eq!(size_of::<HistoryEntry>(), 16);
}

#[test]
fn every_slot_of_every_frame_is_kept() {
    for frame in 0..8 {
        for slot in 0..64 {
            let flags = HistoryFlags::stack_access(frame, slot) | HistoryFlags::DST_NOT_SCALAR;
            assert_eq!(flags.accessed_slot(), Some((frame, slot)));
            assert!(flags.contains(HistoryFlags::DST_NOT_SCALAR));
            assert!(!flags.contains(HistoryFlags::SRC_NOT_SCALAR));
        }
    }
    assert_eq!(HistoryFlags::NONE.accessed_slot(), None);
}

#[test]
fn six_linked_members_fit_and_no_seventh() {
    let members = [
        (0, LinkedAt::Reg(Reg::R0)),
        (7, LinkedAt::Reg(Reg::R9)),
        (1, LinkedAt::Slot(0)),
        (2, LinkedAt::Slot(63)),
        (3, LinkedAt::Slot(10)),
        (4, LinkedAt::Reg(Reg::R10)),
    ];
    let mut linked = LinkedRegs::NONE;
    for (frame, at) in members {
        assert!(linked.push(frame, at));
    }
    assert!(!linked.push(0, LinkedAt::Slot(1)));
    assert_eq!(linked.len(), LinkedRegs::MAX);
    assert_eq!(linked.iter().collect::<Vec<_>>(), members);
}

/// A history's entries, oldest first.
fn entries(all: &Entries, history: History) -> Vec<HistoryEntry> {
    let mut entries: Vec<_> = all.back(history).copied().collect();
    entries.reverse();
    entries
}

#[test]
fn the_first_instruction_has_none_before_it() {
    let mut all = Entries::default();
    let mut history = History::default();
    all.push(&mut history, 0, None, HistoryFlags::NONE, LinkedRegs::NONE);
    let flags = HistoryFlags::stack_access(7, 63);
    all.push(&mut history, 999_999, Some(0), flags, LinkedRegs::NONE);
    let flags = HistoryFlags::NONE;
    all.push(&mut history, 3, Some(999_998), flags, LinkedRegs::NONE);
    let entries = entries(&all, history);
    let ways: Vec<_> = entries.iter().map(|e| (e.idx(), e.prev())).collect();
    assert_eq!(ways, [(0, None), (999_999, Some(0)), (3, Some(999_998))]);
    assert_eq!(entries[1].flags().accessed_slot(), Some((7, 63)));
}

#[test]
fn an_instruction_that_records_twice_has_one_entry() {
    let mut linked = LinkedRegs::NONE;
    assert!(linked.push(0, LinkedAt::Reg(Reg::R3)));
    let mut all = Entries::default();
    let mut history = History::default();
    all.push(
        &mut history,
        5,
        Some(4),
        HistoryFlags::NONE,
        LinkedRegs::NONE,
    );
    all.merge_into_last(&mut history, HistoryFlags::SRC_NOT_SCALAR, linked);
    assert_eq!(history.len(), 1);
    let entry = entries(&all, history)[0];
    assert_eq!((entry.idx(), entry.prev()), (5, Some(4)));
    assert!(entry.flags().contains(HistoryFlags::SRC_NOT_SCALAR));
    assert_eq!(entry.linked, linked);
}

#[test]
fn a_copy_does_not_see_what_is_recorded_later() {
    let mut all = Entries::default();
    let mut history = History::default();
    all.push(
        &mut history,
        1,
        Some(0),
        HistoryFlags::NONE,
        LinkedRegs::NONE,
    );
    let (copy, before) = (history, entries(&all, history));
    all.merge_into_last(&mut history, HistoryFlags::DST_NOT_SCALAR, LinkedRegs::NONE);
    all.push(
        &mut history,
        2,
        Some(1),
        HistoryFlags::NONE,
        LinkedRegs::NONE,
    );
    assert_eq!(entries(&all, copy), before);
    assert_eq!(entries(&all, history).len(), 2);
}
