//! Writes to kernel structures by programs that are members of such: each structure of functions says
//! what they may write to (`btf_struct_access` of its `bpf_verifier_ops`).

use skep_btf::{Btf, Kind, TypeId};
use skep_spec::tables::struct_ops::{WritableMember, Writes};

use crate::env::Env;
use crate::state::{Pointer, Region};
use crate::violation::{BtfViolation, Check};

impl Env<'_> {
    /// A write of `size` bytes at `start`.
    pub(super) fn write_as_member(
        &mut self,
        pointer: &Pointer,
        start: u32,
        size: u32,
    ) -> Check<()> {
        let member = self.ctx.attach.and_then(|target| target.member_of);
        let (Some(member), Region::Btf { id, .. }) = (member, pointer.region) else {
            return self.unmodelled_access("writing to kernel structures");
        };
        let btf = self.ctx.kernel_types()?;
        let is_of = |name| btf.find_by_name(Kind::Struct, name) == Some(TypeId(id));
        let off = start as i32;
        let end = start.saturating_add(size);
        match member.ops.writes {
            Writes::All(to) if !is_of(to) => Err(BtfViolation::OnlyAccess { to }.into()),
            Writes::All(_) => {
                if btf.size_of(TypeId(id)).is_ok_and(|whole| end <= whole) {
                    Ok(())
                } else {
                    Err(BtfViolation::StructureEnd { off, size }.into())
                }
            }
            Writes::Members(of, _) if !is_of(of) => Err(BtfViolation::Write { told: true }.into()),
            Writes::Members(of, members) => {
                let places = self.learned.writable.get_or_insert_with(|| {
                    let places = members.iter().filter_map(|member| place_of(btf, member));
                    places.collect()
                });
                let Some(place) = places.iter().find(|place| place.begins_at(start)) else {
                    return Err(BtfViolation::NoMemberWrite { of, off }.into());
                };
                let member_end = place.end;
                if end > member_end {
                    let end = member_end;
                    return Err(BtfViolation::MemberEnd { of, off, size, end }.into());
                }
                Ok(())
            }
        }
    }
}

/// Where a member that programs may write lies in its structure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    start: u32,
    end: u32,
    anywhere: bool,
}

impl Place {
    /// Whether a write at an offset is one to the member.
    fn begins_at(&self, off: u32) -> bool {
        off == self.start || (self.anywhere && (self.start..self.end).contains(&off))
    }
}

fn place_of(btf: &Btf, member: &WritableMember) -> Option<Place> {
    let mut ty = btf.find_by_name(Kind::Struct, member.of)?;
    let mut bits = 0;
    for name in member.path {
        let field = btf.member(ty, name).ok()??;
        bits += field.bit_offset;
        ty = field.member.ty;
    }
    let start = u32::try_from(bits / 8).ok()?;
    Some(Place {
        start,
        end: start.checked_add(btf.size_of(ty).ok()?)?,
        anywhere: member.anywhere,
    })
}
