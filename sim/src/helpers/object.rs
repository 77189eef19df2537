//! Objects that programs allocate: made, counted and given back, and put into lists and trees.
//!
//! An object's type is one of the program's own. Lists are rings of `next` and `prev` through their
//! heads, trees are search trees of `left`, `right` and parent, both in the members that programs
//! reserve for them (`struct bpf_list_node`, `struct bpf_rb_node`), which nobody else may touch. A node
//! remembers whose it is: putting it in twice fails and gives the object back. The kernel's trees keep
//! themselves balanced, ours do not; their order is the same.

use skep_btf::{Btf, TypeId};

use super::Row;
use super::call::Call;
use crate::arena::Perm;
use crate::errno::Errno;
use crate::fault::{Access, Owner};
use crate::trap::Trap;

pub(super) const KFUNCS: &[Row] = &[
    ("bpf_obj_new_impl", obj_new),
    ("bpf_obj_drop_impl", obj_drop),
    ("bpf_percpu_obj_new_impl", percpu_obj_new),
    ("bpf_percpu_obj_drop_impl", obj_drop),
    ("bpf_refcount_acquire_impl", refcount_acquire),
    ("bpf_list_push_front_impl", push_front),
    ("bpf_list_push_back_impl", push_back),
    ("bpf_list_pop_front", pop_front),
    ("bpf_list_pop_back", pop_back),
    ("bpf_list_front", front),
    ("bpf_list_back", back),
    ("bpf_rbtree_add_impl", tree_add),
    ("bpf_rbtree_remove", tree_remove),
    ("bpf_rbtree_first", tree_first),
    ("bpf_rbtree_root", tree_root),
    ("bpf_rbtree_left", tree_left),
    ("bpf_rbtree_right", tree_right),
];

/// Bytes of an object at most, as for the kernel's allocator.
const MAX_OBJECT: u64 = 4096;

/// Places within a list's head and nodes.
const NEXT: u64 = 0;
const PREV: u64 = 8;
const LIST_OWNER: u64 = 16;
/// Places within a tree's nodes; the head holds its root and its first node.
const PARENT: u64 = 0;
const RIGHT: u64 = 8;
const LEFT: u64 = 16;
const TREE_OWNER: u64 = 24;
const ROOT: u64 = 0;
/// Bytes of a node of either kind.
const LIST_NODE: u64 = 24;
const TREE_NODE: u64 = 32;

impl Call<'_> {
    fn peek8(&self, at: u64) -> u64 {
        self.sim.mem.peek_le::<8>(at)
    }

    fn poke8(&mut self, at: u64, value: u64) {
        self.sim.mem.poke_le::<8>(at, value);
    }

    /// The object that an address lies in: one that a program allocated.
    fn local_object(&self, n: usize) -> Result<u64, Trap> {
        let bad = || self.bad(n, "an allocated object");
        let (start, _, owner) = self.sim.mem.object_at(self.arg(n)).ok_or_else(bad)?;
        let is_local = owner == Owner::Kernel("allocated object");
        if is_local { Ok(start) } else { Err(bad()) }
    }

    /// That a node lies within an object.
    fn node(&self, n: usize, len: u64) -> Result<u64, Trap> {
        self.local_object(n)?;
        let at = self.arg(n);
        match self.sim.mem.object_at(at + len - 1) {
            Some(_) => Ok(at),
            None => Err(self.bad(n, "a node of an allocated object")),
        }
    }
}

/// Where the members of a type lie that only the kernel's functions may touch.
fn private_members(btf: &Btf, ty: TypeId, base: u64, depth: u32, found: &mut Vec<(u64, u64)>) {
    const PRIVATE: [&str; 4] = [
        "bpf_list_node",
        "bpf_rb_node",
        "bpf_refcount",
        "bpf_list_head",
    ];
    let Ok((_, resolved)) = btf.resolve(ty) else {
        return;
    };
    let Some(composite) = resolved.as_composite() else {
        return;
    };
    if PRIVATE.contains(&resolved.name()) {
        found.push((base, composite.size.into()));
        return;
    }
    if depth == 0 {
        return;
    }
    for member in composite.members.iter() {
        let at = base + u64::from(member.offset());
        private_members(btf, member.ty, at, depth - 1, found);
    }
}

fn obj_new(call: &mut Call<'_>) -> Result<u64, Trap> {
    make(call, 1)
}

fn percpu_obj_new(call: &mut Call<'_>) -> Result<u64, Trap> {
    // One value is enough: programs reach it by CPU, and one CPU runs.
    make(call, 1)
}

fn make(call: &mut Call<'_>, n: usize) -> Result<u64, Trap> {
    let wanted = "a type of the program";
    let types = call.engine.types().and_then(|types| types.btf().cloned());
    let types = types.ok_or_else(|| call.bad(n, wanted))?;
    let ty = TypeId(call.arg32(n));
    let size = types.size_of(ty).map_err(|_| call.bad(n, wanted))?.into();
    if size > MAX_OBJECT {
        return Ok(0);
    }
    let owner = Owner::Kernel("allocated object");
    let Some(at) = call.sim.mem.alloc(size, 8, owner) else {
        return Ok(0);
    };
    call.sim.mem.allow(at, size, Perm::ReadWrite);
    let mut private = Vec::new();
    private_members(&types, ty, 0, 4, &mut private);
    for (off, len) in private {
        // Heads of lists are the program's own in no other way than by the functions here.
        call.sim.mem.allow(at + off, len, Perm::Read);
    }
    call.sim.refs.insert(at, 1);
    Ok(at)
}

/// Gives one reference up, and the object with the last.
fn drop_ref(call: &mut Call<'_>, start: u64) {
    let left = call.sim.refs.get(&start).map_or(0, |n| n - 1);
    if left == 0 {
        call.sim.refs.remove(&start);
        call.sim.mem.retire(start);
    } else {
        call.sim.refs.insert(start, left);
    }
}

fn obj_drop(call: &mut Call<'_>) -> Result<u64, Trap> {
    let start = call.local_object(1)?;
    if start != call.arg(1) {
        return Err(call.bad(1, "the begin of an allocated object"));
    }
    drop_ref(call, start);
    Ok(0)
}

fn refcount_acquire(call: &mut Call<'_>) -> Result<u64, Trap> {
    let start = call.local_object(1)?;
    *call.sim.refs.entry(start).or_insert(0) += 1;
    Ok(call.arg(1))
}

/// A list's head, made empty where it is all zero, as those in new memory are.
fn list_head(call: &mut Call<'_>) -> Result<u64, Trap> {
    let head = call.arg(1);
    call.sim.mem.check(head, 16, Access::Read)?;
    if call.peek8(head + NEXT) == 0 {
        call.poke8(head + NEXT, head);
        call.poke8(head + PREV, head);
    }
    Ok(head)
}

/// Puts a node behind another place of the ring.
fn push(call: &mut Call<'_>, at_front: bool) -> Result<u64, Trap> {
    let head = list_head(call)?;
    let node = call.node(2, LIST_NODE)?;
    if call.peek8(node + LIST_OWNER) != 0 {
        let start = call.local_object(2)?;
        drop_ref(call, start);
        return Ok(Errno::INVAL.as_ret());
    }
    let (prev, next) = if at_front {
        (head, call.peek8(head + NEXT))
    } else {
        (call.peek8(head + PREV), head)
    };
    call.poke8(node + NEXT, next);
    call.poke8(node + PREV, prev);
    call.poke8(prev + NEXT, node);
    call.poke8(next + PREV, node);
    call.poke8(node + LIST_OWNER, head);
    Ok(0)
}

fn push_front(call: &mut Call<'_>) -> Result<u64, Trap> {
    push(call, true)
}

fn push_back(call: &mut Call<'_>) -> Result<u64, Trap> {
    push(call, false)
}

fn end_of_list(call: &mut Call<'_>, off: u64) -> Result<u64, Trap> {
    let head = list_head(call)?;
    let node = call.peek8(head + off);
    Ok(if node == head { 0 } else { node })
}

fn pop(call: &mut Call<'_>, off: u64) -> Result<u64, Trap> {
    let node = end_of_list(call, off)?;
    if node != 0 {
        let (next, prev) = (call.peek8(node + NEXT), call.peek8(node + PREV));
        call.poke8(prev + NEXT, next);
        call.poke8(next + PREV, prev);
        for off in [NEXT, PREV, LIST_OWNER] {
            call.poke8(node + off, 0);
        }
    }
    Ok(node)
}

fn pop_front(call: &mut Call<'_>) -> Result<u64, Trap> {
    pop(call, NEXT)
}

fn pop_back(call: &mut Call<'_>) -> Result<u64, Trap> {
    pop(call, PREV)
}

fn front(call: &mut Call<'_>) -> Result<u64, Trap> {
    end_of_list(call, NEXT)
}

fn back(call: &mut Call<'_>) -> Result<u64, Trap> {
    end_of_list(call, PREV)
}

fn tree_add(call: &mut Call<'_>) -> Result<u64, Trap> {
    let (root, less) = (call.arg(1), call.arg(3));
    call.sim.mem.check(root, 16, Access::Read)?;
    let node = call.node(2, TREE_NODE)?;
    if call.peek8(node + TREE_OWNER) != 0 {
        let start = call.local_object(2)?;
        drop_ref(call, start);
        return Ok(Errno::INVAL.as_ret());
    }
    let (mut link, mut parent) = (root + ROOT, 0);
    while call.peek8(link) != 0 {
        parent = call.peek8(link);
        let before = call
            .engine
            .callback(call.sim, less, [node, parent, 0, 0, 0])?;
        // The comparison gives a `bool`.
        link = parent + if before & 0xff != 0 { LEFT } else { RIGHT };
    }
    call.poke8(link, node);
    call.poke8(node + PARENT, parent);
    call.poke8(node + LEFT, 0);
    call.poke8(node + RIGHT, 0);
    call.poke8(node + TREE_OWNER, root);
    Ok(0)
}

/// The node farthest down in one direction.
fn outermost(call: &Call<'_>, mut node: u64, off: u64) -> u64 {
    while node != 0 && call.peek8(node + off) != 0 {
        node = call.peek8(node + off);
    }
    node
}

/// Puts `new` where `old` hangs.
fn replace(call: &mut Call<'_>, root: u64, old: u64, new: u64) {
    let parent = call.peek8(old + PARENT);
    let link = if parent == 0 {
        root + ROOT
    } else if call.peek8(parent + LEFT) == old {
        parent + LEFT
    } else {
        parent + RIGHT
    };
    call.poke8(link, new);
    if new != 0 {
        call.poke8(new + PARENT, parent);
    }
}

fn tree_remove(call: &mut Call<'_>) -> Result<u64, Trap> {
    let root = call.arg(1);
    call.sim.mem.check(root, 16, Access::Read)?;
    let node = call.node(2, TREE_NODE)?;
    if call.peek8(node + TREE_OWNER) != root {
        return Ok(0);
    }
    let (left, right) = (call.peek8(node + LEFT), call.peek8(node + RIGHT));
    if left == 0 || right == 0 {
        replace(call, root, node, left | right);
    } else {
        let next = outermost(call, right, LEFT);
        if next != right {
            let below = call.peek8(next + RIGHT);
            replace(call, root, next, below);
            call.poke8(next + RIGHT, right);
            call.poke8(right + PARENT, next);
        }
        replace(call, root, node, next);
        call.poke8(next + LEFT, left);
        call.poke8(left + PARENT, next);
    }
    for off in [PARENT, RIGHT, LEFT, TREE_OWNER] {
        call.poke8(node + off, 0);
    }
    Ok(node)
}

fn tree_first(call: &mut Call<'_>) -> Result<u64, Trap> {
    let root = tree_root(call)?;
    Ok(outermost(call, root, LEFT))
}

fn tree_root(call: &mut Call<'_>) -> Result<u64, Trap> {
    let root = call.arg(1);
    call.sim.mem.check(root, 16, Access::Read)?;
    Ok(call.peek8(root + ROOT))
}

fn child(call: &mut Call<'_>, off: u64) -> Result<u64, Trap> {
    let (root, node) = (call.arg(1), call.node(2, TREE_NODE)?);
    if call.peek8(node + TREE_OWNER) != root {
        return Ok(0);
    }
    Ok(call.peek8(node + off))
}

fn tree_left(call: &mut Call<'_>) -> Result<u64, Trap> {
    child(call, LEFT)
}

fn tree_right(call: &mut Call<'_>) -> Result<u64, Trap> {
    child(call, RIGHT)
}
