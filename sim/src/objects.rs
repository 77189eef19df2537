//! Objects of kernel types in simulated memory: what arguments of traced functions point to.
//!
//! Layouts come from the kernel's BTF. A value is given by field names, as JSON gives it; what is not
//! named is zero. Where a program runs at a function, every argument that points to a structure gets an
//! object even if none was given, since the kernel vouches for those pointers.

use std::fmt;
use std::sync::Arc;

use skep_btf::{Btf, Kind, TypeId};
use skep_spec::{AttachType, ProgType, ProgramSpec};

use crate::arena::Perm;
use crate::fault::Owner;
use crate::hooks::{ETH_P_IP, RunInput};
use crate::sim::Sim;

/// A value for an argument or a field of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldValue {
    /// A number, a pointer's address among them; negative ones in two's complement.
    Number(u64),
    /// Text: for arrays of characters, and pointers to characters.
    Text(String),
    /// The elements of an array, or of one that a pointer points to.
    List(Vec<FieldValue>),
    /// The fields of a structure, or of one that a pointer points to.
    Object(Vec<(String, FieldValue)>),
}

/// Why an argument cannot be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ObjectError {
    /// The kernel's types are not known.
    NoTypes,
    /// The program does not say what it attaches to, or the types do not know it.
    NoTarget(String),
    /// There is no argument or field of that name; those that there are.
    NoField {
        /// What it is looked for in.
        within: String,
        /// The name.
        name: String,
        /// The names that exist.
        names: Vec<String>,
    },
    /// A value that its field cannot hold.
    Shape {
        /// The field.
        name: String,
        /// What it holds.
        wanted: String,
    },
    /// Types that contradict each other, or values nested deeper than anyone needs.
    Types(String),
    /// The arena is full.
    Full,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectError::NoTypes => f.write_str("the kernel's types are not known"),
            ObjectError::NoTarget(what) => write!(f, "no types of `{what}`, which it attaches to"),
            ObjectError::NoField { within, name, .. } => write!(f, "{within} has no `{name}`"),
            ObjectError::Shape { name, wanted } => write!(f, "`{name}` wants {wanted}"),
            ObjectError::Types(what) => write!(f, "the types are damaged: {what}"),
            ObjectError::Full => f.write_str("the arena is full"),
        }
    }
}

impl std::error::Error for ObjectError {}

/// Values that may be nested in each other.
const MAX_DEPTH: u32 = 16;
/// Bytes of an object at most.
const MAX_OBJECT: u32 = 1 << 20;
/// Arguments of a function at most.
const MAX_ARGS: usize = 12;

/// A parameter: its name and type.
type Param = (String, TypeId);

/// What a program is called with: its target's parameters, and whether the result follows them.
struct Signature {
    btf: Arc<Btf>,
    name: String,
    params: Vec<Param>,
    has_result: bool,
}

impl Sim {
    /// The input of a program that runs at a kernel function or tracepoint by its types: arguments by
    /// the function's own names, `ret` for its result, `argN` by position. Objects live until the next
    /// call.
    ///
    /// # Errors
    /// A target without types, an argument or field that does not exist, or a value of another shape.
    pub fn trace_input(
        &mut self,
        program: &ProgramSpec,
        args: &[(String, FieldValue)],
    ) -> Result<RunInput, ObjectError> {
        for at in std::mem::take(&mut self.objects) {
            self.mem.free(at);
        }
        let signature = self.signature(program)?;
        let btf = Arc::clone(&signature.btf);
        let mut names: Vec<String> = signature.params.iter().map(|p| p.0.clone()).collect();
        if signature.has_result {
            names.push("ret".to_owned());
        }
        for (name, _) in args {
            let by_place = |i: usize| format!("arg{i}") == *name;
            if !names.contains(name) && !(0..names.len()).any(by_place) {
                return Err(ObjectError::NoField {
                    within: signature.name,
                    name: name.clone(),
                    names,
                });
            }
        }
        let given = |i: usize, name: &str| {
            let by_place = format!("arg{i}");
            let found = args.iter().find(|a| a.0 == name || a.0 == by_place);
            found.map(|a| &a.1)
        };
        let writable = program.ty == ProgType::StructOps;
        let mut words = Vec::new();
        for (i, (name, ty)) in signature.params.iter().enumerate() {
            let perm = if writable {
                Perm::ReadWrite
            } else {
                Perm::Read
            };
            let maker = &mut Maker {
                sim: self,
                btf: &btf,
                perm,
            };
            words.push(maker.word(*ty, name, given(i, name), 0)?);
        }
        if signature.has_result {
            let value = match given(words.len(), "ret") {
                None => 0,
                Some(FieldValue::Number(value)) => *value,
                Some(_) => {
                    return Err(ObjectError::Shape {
                        name: "ret".to_owned(),
                        wanted: "a number".to_owned(),
                    });
                }
            };
            words.push(value);
        }
        Ok(RunInput::args(&words))
    }

    /// An object of a kernel structure by name, with those fields: its address, for arguments that are
    /// given as numbers. It lives as long as the kernel.
    ///
    /// # Errors
    /// A structure or field that does not exist, or a value of another shape.
    pub fn kernel_object(
        &mut self,
        ty: &str,
        fields: &[(String, FieldValue)],
    ) -> Result<u64, ObjectError> {
        let btf = self.types.as_ref().map(|types| Arc::clone(types.btf()));
        let btf = btf.ok_or(ObjectError::NoTypes)?;
        let id = btf.find_by_name(Kind::Struct, ty);
        let id = id.ok_or_else(|| ObjectError::NoTarget(ty.to_owned()))?;
        let kept = std::mem::take(&mut self.objects);
        let maker = &mut Maker {
            sim: self,
            btf: &btf,
            perm: Perm::ReadWrite,
        };
        let fields = FieldValue::Object(fields.to_vec());
        let made = maker.object(id, ty, Some(&fields), 0);
        self.objects = kept;
        made
    }

    /// The names that [`Sim::trace_input`] takes for a program.
    ///
    /// # Errors
    /// As there.
    pub fn trace_names(&self, program: &ProgramSpec) -> Result<Vec<String>, ObjectError> {
        let signature = self.signature(program)?;
        let mut names: Vec<String> = signature.params.into_iter().map(|p| p.0).collect();
        if signature.has_result {
            names.push("ret".to_owned());
        }
        Ok(names)
    }

    fn signature(&self, program: &ProgramSpec) -> Result<Signature, ObjectError> {
        let kernel = self.types.as_ref().map(|types| Arc::clone(types.btf()));
        let of_program = program.target.as_ref().map(|t| Arc::clone(&t.btf));
        let btf = of_program.or(kernel).ok_or(ObjectError::NoTypes)?;
        let missing = || ObjectError::NoTarget(program.attach_to.clone());
        let id = TypeId(program.attach_btf_id);
        let raw = program.attach == AttachType::TraceRawTp;
        let proto = if program.ty == ProgType::StructOps {
            member_proto(&btf, program).ok_or_else(missing)?
        } else {
            id
        };
        if proto.is_void() {
            return Err(missing());
        }
        // The first parameter of a tracepoint's function is its own.
        let skip = usize::from(raw);
        let params = btf.prototype(proto).map_err(|_| missing())?.params;
        let mut all: Vec<Param> = params
            .iter()
            .skip(skip)
            .take(MAX_ARGS)
            .map(|p| (p.name().to_owned(), p.ty))
            .collect();
        if raw {
            name_tracepoint(&btf, id, &mut all);
        }
        name_the_rest(&btf, &mut all);
        // A hook's result so far follows its arguments, as a function's own does.
        let after = [
            AttachType::TraceFexit,
            AttachType::ModifyReturn,
            AttachType::LsmMac,
        ];
        Ok(Signature {
            name: program.attach_to.clone(),
            params: all,
            has_result: after.contains(&program.attach),
            btf,
        })
    }

    /// The object that a hook's context points to, by its type's name: what is known of the packet.
    pub(crate) fn hook_object(&mut self, ty: &'static str, data: u64, end: u64) -> u64 {
        let Some(btf) = self.types.as_ref().map(|types| Arc::clone(types.btf())) else {
            return 0;
        };
        let Some(id) = btf.find_by_name(Kind::Struct, ty) else {
            return 0;
        };
        let number = |name: &str, value: u64| (name.to_owned(), FieldValue::Number(value));
        let fields = match ty {
            "sk_buff" => vec![
                number("len", end - data),
                number("data", data),
                number("head", data),
                // In network order; what the state below says.
                number("protocol", u64::from(ETH_P_IP.to_be())),
            ],
            // Packets of IPv4 on their way out, as in a test run.
            "nf_hook_state" => vec![number("hook", 3), number("pf", 2)],
            _ => Vec::new(),
        };
        let mut known = Vec::new();
        for (name, value) in fields {
            if matches!(btf.member(id, &name), Ok(Some(_))) {
                known.push((name, value));
            }
        }
        let maker = &mut Maker {
            sim: self,
            btf: &btf,
            perm: Perm::Read,
        };
        maker
            .object(id, ty, Some(&FieldValue::Object(known)), 0)
            .unwrap_or(0)
    }
}

/// The prototype of the structure's member that a struct_ops program is.
fn member_proto(btf: &Btf, program: &ProgramSpec) -> Option<TypeId> {
    let table = btf.composite(TypeId(program.attach_btf_id)).ok()?;
    // What is the attach type of others is the member's number here.
    let member = table.members.get(program.attach.number() as usize)?;
    Some(member.ty)
}

/// Types of tracepoints have parameters without names; the function that calls the programs has them.
fn name_tracepoint(btf: &Btf, id: TypeId, params: &mut [Param]) {
    let name = btf.ty(id).map_or("", |ty| ty.name());
    let event = name.strip_prefix("btf_trace_").unwrap_or(name);
    let caller = btf.find_by_name(Kind::Func, &format!("__bpf_trace_{event}"));
    let Some(proto) = caller.and_then(|id| btf.prototype(id).ok()) else {
        return;
    };
    for (to, from) in params.iter_mut().zip(proto.params.iter().skip(1)) {
        if to.0.is_empty() {
            from.name().clone_into(&mut to.0);
        }
    }
}

/// Parameters without names are called by the structure that they point to, else by position.
fn name_the_rest(btf: &Btf, params: &mut [Param]) {
    let mut used: Vec<String> = params.iter().map(|p| p.0.clone()).collect();
    for (i, param) in params.iter_mut().enumerate() {
        if !param.0.is_empty() {
            continue;
        }
        let structure = pointed(btf, param.1)
            .and_then(|id| btf.ty(id).ok())
            .map_or("", |ty| ty.name());
        let short = structure.strip_suffix("_struct").unwrap_or(structure);
        param.0 = if short.is_empty() || used.iter().any(|u| u == short) {
            format!("arg{i}")
        } else {
            short.to_owned()
        };
        used.push(param.0.clone());
    }
}

/// The structure or union that a pointer points to.
fn pointed(btf: &Btf, ty: TypeId) -> Option<TypeId> {
    let to = btf.resolve(ty).ok()?.1.as_ptr()?;
    let (id, ty) = btf.resolve(to).ok()?;
    ty.as_composite().map(|_| id)
}

/// Makes objects of one kernel's types.
struct Maker<'a> {
    sim: &'a mut Sim,
    btf: &'a Btf,
    /// What programs may do with them.
    perm: Perm,
}

impl Maker<'_> {
    fn shape(name: &str, wanted: &str) -> ObjectError {
        ObjectError::Shape {
            name: name.to_owned(),
            wanted: wanted.to_owned(),
        }
    }

    /// An argument or pointer as the 64 bits of its register.
    fn word(
        &mut self,
        ty: TypeId,
        name: &str,
        value: Option<&FieldValue>,
        depth: u32,
    ) -> Result<u64, ObjectError> {
        let structure = pointed(self.btf, ty);
        match (value, structure) {
            (Some(FieldValue::Number(number)), _) => Ok(*number),
            (None, Some(id)) => {
                let is_task = self.btf.ty(id).is_ok_and(|ty| ty.name() == "task_struct");
                if is_task {
                    return Ok(self.sim.task);
                }
                self.object(id, name, None, depth)
            }
            (Some(FieldValue::Object(_)), Some(id)) => self.object(id, name, value, depth),
            (None, None) => Ok(0),
            (Some(FieldValue::Text(text)), None) if self.is_pointer(ty) => {
                let mut bytes = text.clone().into_bytes();
                bytes.push(0);
                let at = self.alloc(bytes.len() as u64)?;
                self.sim.mem.poke(at, &bytes);
                Ok(at)
            }
            (Some(FieldValue::List(list)), _) if self.is_pointer(ty) => {
                self.array(ty, name, list, depth)
            }
            (Some(_), Some(_)) => Err(Self::shape(name, "an object or a number")),
            (Some(_), None) => Err(Self::shape(name, "a number")),
        }
    }

    fn is_pointer(&self, ty: TypeId) -> bool {
        self.btf
            .resolve(ty)
            .is_ok_and(|(_, ty)| ty.as_ptr().is_some())
    }

    fn alloc(&mut self, len: u64) -> Result<u64, ObjectError> {
        let owner = Owner::Kernel("object");
        let at = self.sim.mem.alloc(len, 8, owner).ok_or(ObjectError::Full)?;
        self.sim.mem.allow(at, len, self.perm);
        self.sim.objects.push(at);
        Ok(at)
    }

    /// An array that a pointer points to.
    fn array(
        &mut self,
        ty: TypeId,
        name: &str,
        list: &[FieldValue],
        depth: u32,
    ) -> Result<u64, ObjectError> {
        let damaged = |e: skep_btf::Error| ObjectError::Types(e.to_string());
        let to = self.btf.resolve(ty).map_err(damaged)?.1.as_ptr();
        let to = to.ok_or_else(|| Self::shape(name, "a number"))?;
        let size = u64::from(self.btf.size_of(to).map_err(damaged)?.max(1));
        let at = self.alloc(
            size.saturating_mul(list.len() as u64)
                .min(MAX_OBJECT.into()),
        )?;
        for (i, value) in list.iter().enumerate() {
            self.fill(at + size * i as u64, to, name, value, depth)?;
        }
        Ok(at)
    }

    /// Bytes that an object of a type takes: a socket as many as the largest kind, since programs take
    /// one for the other.
    fn room_for(&self, id: TypeId) -> Result<u32, ObjectError> {
        const SOCKETS: [&str; 4] = ["sock_common", "sock", "inet_sock", "inet_connection_sock"];
        let damaged = |e: skep_btf::Error| ObjectError::Types(e.to_string());
        let size = self.btf.size_of(id).map_err(damaged)?;
        let is_socket = self.btf.ty(id).is_ok_and(|ty| SOCKETS.contains(&ty.name()));
        let tcp = self.btf.find_by_name(Kind::Struct, "tcp_sock");
        let largest = tcp
            .filter(|_| is_socket)
            .and_then(|tcp| self.btf.size_of(tcp).ok());
        Ok(size.max(largest.unwrap_or(0)))
    }

    /// A structure with those fields, the others zero.
    fn object(
        &mut self,
        id: TypeId,
        name: &str,
        value: Option<&FieldValue>,
        depth: u32,
    ) -> Result<u64, ObjectError> {
        let size = self.room_for(id)?;
        if size > MAX_OBJECT {
            return Err(Self::shape(name, "an object of a smaller type"));
        }
        let at = self.alloc(size.into())?;
        if let Some(value) = value {
            self.fill(at, id, name, value, depth)?;
        }
        Ok(at)
    }

    /// Writes a value of a type to its place.
    fn fill(
        &mut self,
        at: u64,
        ty: TypeId,
        name: &str,
        value: &FieldValue,
        depth: u32,
    ) -> Result<(), ObjectError> {
        let damaged = |e: skep_btf::Error| ObjectError::Types(e.to_string());
        if depth > MAX_DEPTH {
            return Err(ObjectError::Types("nested too deeply".to_owned()));
        }
        let (id, resolved) = self.btf.resolve(ty).map_err(damaged)?;
        if let Some(array) = resolved.as_array() {
            let size = u64::from(self.btf.size_of(array.elem).map_err(damaged)?);
            return match value {
                FieldValue::Text(text) if size == 1 => {
                    if text.len() as u64 > u64::from(array.nelems) {
                        let wanted = format!("at most {} bytes", array.nelems);
                        return Err(Self::shape(name, &wanted));
                    }
                    self.sim.mem.poke(at, text.as_bytes());
                    Ok(())
                }
                FieldValue::List(list) if list.len() as u64 <= u64::from(array.nelems) => {
                    for (i, value) in list.iter().enumerate() {
                        self.fill(at + size * i as u64, array.elem, name, value, depth + 1)?;
                    }
                    Ok(())
                }
                FieldValue::Number(_)
                | FieldValue::Text(_)
                | FieldValue::List(_)
                | FieldValue::Object(_) => {
                    Err(Self::shape(name, "a list that is not too long, or text"))
                }
            };
        }
        if resolved.as_composite().is_some() {
            let FieldValue::Object(fields) = value else {
                return Err(Self::shape(name, "an object"));
            };
            for (name, value) in fields {
                self.field(at, id, name, value, depth)?;
            }
            return Ok(());
        }
        let size = self.btf.size_of(id).map_err(damaged)?;
        let word = match value {
            value if resolved.as_ptr().is_some() => self.word(id, name, Some(value), depth + 1)?,
            FieldValue::Number(number) => *number,
            FieldValue::Text(_) | FieldValue::List(_) | FieldValue::Object(_) => {
                return Err(Self::shape(name, "a number"));
            }
        };
        let bytes = word.to_le_bytes();
        self.sim
            .mem
            .poke(at, bytes.get(..size as usize).unwrap_or(&bytes));
        Ok(())
    }

    /// Writes one field of a structure.
    fn field(
        &mut self,
        at: u64,
        id: TypeId,
        name: &str,
        value: &FieldValue,
        depth: u32,
    ) -> Result<(), ObjectError> {
        let damaged = |e: skep_btf::Error| ObjectError::Types(e.to_string());
        let Some(field) = self.btf.member(id, name).map_err(damaged)? else {
            return Err(self.no_field(id, name));
        };
        let (bit, width) = (field.bit_offset, u64::from(field.member.bitfield_size));
        if width == 0 {
            return self.fill(at + bit / 8, field.member.ty, name, value, depth + 1);
        }
        let FieldValue::Number(number) = value else {
            return Err(Self::shape(name, "a number"));
        };
        let (place, shift) = (at + bit / 8, bit % 8);
        let mask = if width + shift >= 64 {
            u64::MAX << shift
        } else {
            ((1 << width) - 1) << shift
        };
        let bytes = (width + shift).div_ceil(8).min(8) as usize;
        let mut old = [0; 8];
        for (to, from) in old.iter_mut().zip(self.sim.mem.peek(place, bytes as u64)) {
            *to = *from;
        }
        let new = u64::from_le_bytes(old) & !mask | (number << shift) & mask;
        let new = new.to_le_bytes();
        self.sim.mem.poke(place, new.get(..bytes).unwrap_or(&new));
        Ok(())
    }

    fn no_field(&self, id: TypeId, name: &str) -> ObjectError {
        let members = self.btf.composite(id).map(|c| c.members);
        let names = members.map_or_else(
            |_| Vec::new(),
            |members| members.iter().map(|m| m.name().to_owned()).collect(),
        );
        ObjectError::NoField {
            within: self.btf.ty(id).map_or("", |ty| ty.name()).to_owned(),
            name: name.to_owned(),
            names: names
                .into_iter()
                .filter(|n: &String| !n.is_empty())
                .collect(),
        }
    }
}
