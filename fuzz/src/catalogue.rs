//! What generated programs share: a stock of maps, and one BTF with functions of many shapes.
//!
//! Programs refer to the stock by allocation, so that whoever loads many of them need not make a map
//! or load BTF for each.

use std::sync::Arc;

use skep_btf::{Btf, BtfBuilder, FuncLinkage, IntEncoding, TypeId};
use skep_spec::tables::prog_types::PROG_TYPES;
use skep_spec::{MapFlags, MapSpec, MapType, ProgType};

/// What a global function expects in an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GlobalArg {
    /// The context.
    Ctx,
    /// A number.
    Number,
    /// Memory of that many bytes, or NULL.
    Mem(u32),
    /// Memory of that many bytes.
    MemNonNull(u32),
}

/// A function of the shared BTF with global linkage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GlobalFn {
    /// BTF id.
    pub(crate) type_id: u32,
    /// Arguments.
    pub(crate) args: Vec<GlobalArg>,
    /// For programs of these types only; empty for all.
    pub(crate) types: Vec<ProgType>,
    /// The kernel refuses such a function.
    pub(crate) refused: bool,
}

/// The stock.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    /// Maps.
    pub(crate) maps: Vec<Arc<MapSpec>>,
    /// The BTF.
    pub(crate) btf: Arc<Btf>,
    /// BTF ids of functions that may begin a program.
    pub(crate) mains: Vec<u32>,
    /// BTF ids of static functions.
    pub(crate) statics: Vec<u32>,
    /// Global functions.
    pub(crate) globals: Vec<GlobalFn>,
}

/// Contents of the map of constants.
pub(crate) fn constants() -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for number in [0u64, 1, 7, 15, 63, 0xffff, 0xffff_fffe] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(b"%d %x\n\0\0");
    bytes
}

/// The maps: name, type, bytes of key and value, entries, flags.
#[rustfmt::skip]
const MAPS: &[(&str, MapType, u32, u32, u32, MapFlags)] = &[
    ("array",      MapType::Array,            4,   48,   16, MapFlags::empty()),
    ("one",        MapType::Array,            4,    8,    1, MapFlags::empty()),
    ("hash",       MapType::Hash,             8,   16,   16, MapFlags::empty()),
    ("hash64",     MapType::Hash,             4,   64,   16, MapFlags::empty()),
    ("pcarray",    MapType::PercpuArray,      4,   32,    4, MapFlags::empty()),
    ("pchash",     MapType::PercpuHash,       4,   24,    4, MapFlags::empty()),
    ("lru",        MapType::LruHash,         16,   40,   16, MapFlags::empty()),
    ("pclru",      MapType::LruPercpuHash,    4,    8,   16, MapFlags::empty()),
    ("lpm",        MapType::LpmTrie,          8,   12,   16, MapFlags::NO_PREALLOC),
    (".rodata",    MapType::Array,            4,   64,    1, MapFlags::RDONLY_PROG),
    (".data",      MapType::Array,            4,  128,    1, MapFlags::MMAPABLE),
    ("rdonly",     MapType::Array,            4,   32,    4, MapFlags::RDONLY_PROG),
    ("wronly",     MapType::Hash,             4,   32,    4, MapFlags::WRONLY_PROG),
    ("wide",       MapType::Array,            4, 4096,    2, MapFlags::empty()),
    ("huge",       MapType::Array,            4, 70000,   1, MapFlags::empty()),
    ("odd",        MapType::Array,            4,   13,    4, MapFlags::empty()),
    ("progs",      MapType::ProgArray,        4,    4,    8, MapFlags::empty()),
    ("events",     MapType::PerfEventArray,   4,    4,    2, MapFlags::empty()),
    ("ring",       MapType::Ringbuf,          0,    0, 4096, MapFlags::empty()),
    ("traces",     MapType::StackTrace,       4,  128,   16, MapFlags::empty()),
    ("queue",      MapType::Queue,            0,   16,    8, MapFlags::empty()),
    ("lifo",       MapType::Stack,            0,    8,    8, MapFlags::empty()),
    ("devs",       MapType::Devmap,           4,    4,    8, MapFlags::empty()),
    ("cpus",       MapType::Cpumap,           4,    4,    2, MapFlags::empty()),
    ("xsks",       MapType::Xskmap,           4,    4,    8, MapFlags::empty()),
    ("socks",      MapType::Sockmap,          4,    8,    8, MapFlags::empty()),
    ("sockhash",   MapType::Sockhash,         4,    8,    8, MapFlags::empty()),
    ("outer",      MapType::ArrayOfMaps,      4,    4,    4, MapFlags::empty()),
    ("outerhash",  MapType::HashOfMaps,       4,    4,    4, MapFlags::empty()),
    ("cgroups",    MapType::CgroupArray,      4,    4,    4, MapFlags::empty()),
    ("bloom",      MapType::BloomFilter,      0,    8,   16, MapFlags::empty()),
    ("devhash",    MapType::DevmapHash,       4,    4,    8, MapFlags::empty()),
    ("reuse",      MapType::ReuseportSockarray, 4,  8,    8, MapFlags::empty()),
    ("cgstore",    MapType::CgroupStorage,   16,   24,    0, MapFlags::empty()),
    ("cgstore2",   MapType::CgroupStorage,   16,    8,    0, MapFlags::empty()),
    ("pcstore",    MapType::PercpuCgroupStorage, 16, 8,   0, MapFlags::empty()),
    ("userring",   MapType::UserRingbuf,      0,    0, 4096, MapFlags::empty()),
];

/// Index of the map of constants.
pub(crate) const RODATA: usize = 9;
/// Index of the map of global data.
pub(crate) const DATA: usize = 10;

impl Catalogue {
    pub(crate) fn new() -> Catalogue {
        let mut shapes = Shapes::new();
        let globals = shapes.globals();
        let mains = shapes.mains();
        let statics = shapes.statics();
        // The builder's own output parses; were it not so, programs would only lack BTF's types.
        let btf =
            Btf::parse(shapes.btf.to_bytes()).or_else(|_| Btf::parse(BtfBuilder::new().to_bytes()));
        let btf = Arc::new(btf.unwrap_or_else(|_| unreachable!("an empty BTF parses")));
        let maps = MAPS.iter().map(|row| Arc::new(map(row))).collect();
        Catalogue {
            maps,
            btf,
            mains,
            statics,
            globals,
        }
    }

    /// The maps of one of these types.
    pub(crate) fn maps_of(&self, types: &[MapType]) -> Vec<usize> {
        let maps = self.maps.iter().enumerate();
        maps.filter(|(_, map)| types.contains(&map.ty))
            .map(|(at, _)| at)
            .collect()
    }
}

fn map(
    &(name, ty, key, value, entries, flags): &(&str, MapType, u32, u32, u32, MapFlags),
) -> MapSpec {
    let mut map = MapSpec::new(name, ty, key, value, entries);
    map.flags = flags;
    if name == ".rodata" {
        map.frozen = true;
        map.init = Some(constants());
    }
    if ty == MapType::ArrayOfMaps {
        map.inner = Some(Box::new(MapSpec::new("inner", MapType::Array, 4, 32, 4)));
    }
    if ty == MapType::HashOfMaps {
        map.inner = Some(Box::new(MapSpec::new("inner", MapType::Hash, 8, 16, 4)));
    }
    map
}

/// The shared BTF under construction.
struct Shapes {
    btf: BtfBuilder,
    int: TypeId,
    long: TypeId,
    byte: TypeId,
    void_ptr: TypeId,
}

impl Shapes {
    fn new() -> Shapes {
        let mut btf = BtfBuilder::new();
        let int = btf.int("int", 4, IntEncoding::SIGNED);
        let long = btf.int("unsigned long", 8, IntEncoding::UNSIGNED);
        let byte = btf.int("unsigned char", 1, IntEncoding::UNSIGNED);
        let void_ptr = btf.ptr(TypeId::VOID);
        Shapes {
            btf,
            int,
            long,
            byte,
            void_ptr,
        }
    }

    fn func(&mut self, name: &str, ret: TypeId, args: &[TypeId], linkage: FuncLinkage) -> TypeId {
        let names = ["a", "b", "c", "d", "e", "f"];
        let params: Vec<_> = names.iter().copied().zip(args.iter().copied()).collect();
        let proto = self.btf.func_proto(ret, &params);
        self.btf.func(name, proto, linkage)
    }

    fn mains(&mut self) -> Vec<u32> {
        let (int, ptr) = (self.int, self.void_ptr);
        let buffer = self.btf.structure("__sk_buff", 4, &[("len", int, 0, 0)]);
        let skb = self.btf.ptr(buffer);
        let (global, fixed) = (FuncLinkage::Global, FuncLinkage::Static);
        vec![
            self.func("entry", int, &[ptr], global).0,
            self.func("entry_skb", int, &[skb], global).0,
            self.func("entry_static", int, &[], fixed).0,
        ]
    }

    fn statics(&mut self) -> Vec<u32> {
        let (int, long, ptr, fixed) = (self.int, self.long, self.void_ptr, FuncLinkage::Static);
        vec![
            self.func("sub", int, &[ptr, ptr], fixed).0,
            self.func("sub_long", long, &[int, int, ptr], fixed).0,
            self.func("sub_none", int, &[], fixed).0,
            self.func("sub_void", TypeId::VOID, &[], fixed).0,
            self.func("sub_ptr", ptr, &[], fixed).0,
        ]
    }

    fn globals(&mut self) -> Vec<GlobalFn> {
        use GlobalArg::{Mem, MemNonNull, Number};
        let (int, long, byte, ptr) = (self.int, self.long, self.byte, self.void_ptr);
        let array = self.btf.array(byte, int, 16);
        let buffer = self.btf.structure("buffer", 16, &[("bytes", array, 0, 0)]);
        let buffer_ptr = self.btf.ptr(buffer);
        let int_ptr = self.btf.ptr(int);
        let kind = self
            .btf
            .enumeration("kind", 4, false, &[("A", 0), ("B", 1)]);
        let mut all = Vec::new();
        let mut add = |shapes: &mut Shapes, name, ret, types: &[TypeId], args: &[GlobalArg]| {
            let id = shapes.func(name, ret, types, FuncLinkage::Global);
            let args = args.to_vec();
            all.push(GlobalFn {
                type_id: id.0,
                args,
                types: Vec::new(),
                refused: false,
            });
            id
        };
        add(self, "g_none", int, &[], &[]);
        add(self, "g_int", int, &[int], &[Number]);
        add(self, "g_long2", long, &[long, long], &[Number; 2]);
        add(self, "g_byte", byte, &[byte, kind], &[Number; 2]);
        add(self, "g_five", int, &[int; 5], &[Number; 5]);
        add(self, "g_mem", int, &[buffer_ptr], &[Mem(16)]);
        add(
            self,
            "g_mem_int",
            int,
            &[buffer_ptr, int],
            &[Mem(16), Number],
        );
        add(
            self,
            "g_int_ptr",
            int,
            &[int_ptr, int_ptr],
            &[Mem(4), Mem(4)],
        );
        let tagged = add(
            self,
            "g_nonnull",
            int,
            &[buffer_ptr, int],
            &[MemNonNull(16), Number],
        );
        self.btf.decl_tag("arg:nonnull", tagged, Some(0));
        add(self, "g_six", int, &[int; 6], &[Number; 5]);
        add(self, "g_void_ptr", int, &[ptr], &[Number]);
        add(self, "g_void", TypeId::VOID, &[int], &[Number]);
        add(self, "g_struct", int, &[buffer], &[Number]);
        for function in all.iter_mut().rev().take(4) {
            function.refused = true;
        }
        self.with_ctx(&mut all);
        all
    }

    /// Functions that take the context, named by its type or tagged.
    fn with_ctx(&mut self, all: &mut Vec<GlobalFn>) {
        let mut names: Vec<(&str, Vec<ProgType>)> = Vec::new();
        for row in PROG_TYPES {
            match names.iter_mut().find(|(name, _)| *name == row.ctx) {
                Some((_, types)) => types.push(row.ty),
                None => names.push((row.ctx, vec![row.ty])),
            }
        }
        for (name, types) in names {
            let target = match name {
                "void *" => continue,
                "__u64" | "__u32" => self.btf.typedef(name, self.long),
                "bpf_user_pt_regs_t" => {
                    let regs = self
                        .btf
                        .structure("pt_regs", 8, &[("r15", self.long, 0, 0)]);
                    self.btf.typedef(name, regs)
                }
                _ => self.btf.structure(name, 4, &[("first", self.int, 0, 0)]),
            };
            let ptr = self.btf.ptr(target);
            let (int, args) = (self.int, vec![GlobalArg::Ctx, GlobalArg::Number]);
            let id = self.func("g_ctx", int, &[ptr, int], FuncLinkage::Global);
            all.push(GlobalFn {
                type_id: id.0,
                args,
                types,
                refused: false,
            });
        }
        let (int, ptr) = (self.int, self.void_ptr);
        let id = self.func("g_ctx_tagged", int, &[ptr], FuncLinkage::Global);
        self.btf.decl_tag("arg:ctx", id, Some(0));
        let args = vec![GlobalArg::Ctx];
        all.push(GlobalFn {
            type_id: id.0,
            args,
            types: Vec::new(),
            refused: false,
        });
    }
}
