//! What an entry of history holds.

use skep_isa::Reg;

use super::super::history::{History, HistoryEntry, HistoryFlags, LinkedAt, LinkedRegs};

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

#[test]
fn the_first_instruction_has_none_before_it() {
    let mut history = History::default();
    history.push(0, None, HistoryFlags::NONE, LinkedRegs::NONE);
    history.push(
        999_999,
        Some(0),
        HistoryFlags::stack_access(7, 63),
        LinkedRegs::NONE,
    );
    history.push(3, Some(999_998), HistoryFlags::NONE, LinkedRegs::NONE);
    let entries: Vec<_> = history
        .entries()
        .iter()
        .map(|e| (e.idx(), e.prev()))
        .collect();
    assert_eq!(entries, [(0, None), (999_999, Some(0)), (3, Some(999_998))]);
    assert_eq!(history.entries()[1].flags().accessed_slot(), Some((7, 63)));
}

#[test]
fn an_instruction_that_records_twice_has_one_entry() {
    let mut linked = LinkedRegs::NONE;
    assert!(linked.push(0, LinkedAt::Reg(Reg::R3)));
    let mut history = History::default();
    history.push(5, Some(4), HistoryFlags::NONE, LinkedRegs::NONE);
    history.merge_into_last(HistoryFlags::SRC_NOT_SCALAR, linked);
    assert_eq!(history.len(), 1);
    let entry = history.entries()[0];
    assert_eq!((entry.idx(), entry.prev()), (5, Some(4)));
    assert!(entry.flags().contains(HistoryFlags::SRC_NOT_SCALAR));
    assert_eq!(entry.linked, linked);
}

#[test]
fn a_copy_does_not_see_what_is_recorded_later() {
    let mut history = History::default();
    history.push(1, Some(0), HistoryFlags::NONE, LinkedRegs::NONE);
    let copy = history.clone();
    history.push(2, Some(1), HistoryFlags::NONE, LinkedRegs::NONE);
    history.merge_into_last(HistoryFlags::DST_NOT_SCALAR, LinkedRegs::NONE);
    assert_eq!(copy.len(), 1);
    assert_eq!(history.len(), 2);
}
