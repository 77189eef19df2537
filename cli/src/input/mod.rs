//! Inputs become units: one program to be judged for one kernel.
//!
//! Objects, captured requests, folders and standard input all end up as [`Unit`]s in input order, made
//! one by one as they are asked for. What cannot be read is a [`Failure`] in its place, and the rest
//! goes on.

mod assembly;
mod help;
mod object;
mod paths;
mod requests;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use skep_corpus::BtfStore;
use skep_spec::ProgramSpec;

use crate::args::InputArgs;
use crate::failure::Failure;
use crate::kernels::{Kernel, Kernels};
use crate::select::Names;

pub(crate) use assembly::assemble_text;
pub(crate) use object::{little_endian, open_source, read};
pub(crate) use paths::{Kind, Source, expand, is_file, plain};

/// How the loader says that a section tells no program type.
const UNKNOWN_TYPE: &str = "program type";

/// One program for one kernel.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// The object's name, as tables show it: the file's without its folder.
    pub(crate) file: String,
    /// The program's name.
    pub(crate) prog: String,
    /// What `BPF_PROG_LOAD` would be given.
    pub(crate) spec: Arc<ProgramSpec>,
    /// The kernel to judge for.
    pub(crate) kernel: Arc<Kernel>,
    /// Why the request alone does not allow a verdict, if so.
    pub(crate) blocked: Option<String>,
    /// The kernel that it was recorded on; empty if it was not.
    pub(crate) recorded_on: String,
    /// Which source it came from, from 0.
    pub(crate) source: usize,
}

/// The store of captured requests' BTF that the options name.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn btf_store(args: &InputArgs) -> Result<BtfStore, Failure> {
    match &args.btf_dir {
        Some(path) => BtfStore::open(path).map_err(|e| {
            Failure::new(e.to_string()).help("--btf-dir takes a folder or tar archive of NAME.btf")
        }),
        None => Ok(BtfStore::empty()),
    }
}

/// All units of the inputs, in order.
pub(crate) struct Units<'a> {
    args: &'a InputArgs,
    names: Names,
    matched: Vec<bool>,
    kernels: &'a mut Kernels,
    store: &'a BtfStore,
    sources: Vec<Result<Source, Failure>>,
    next: usize,
    ready: VecDeque<Result<Unit, Failure>>,
    requests: Option<requests::Requests<'a>>,
    ended: bool,
}

impl<'a> Units<'a> {
    /// The units of the inputs that the options name.
    pub(crate) fn new(args: &'a InputArgs, kernels: &'a mut Kernels, store: &'a BtfStore) -> Self {
        let names = Names::new(&args.prog);
        Units {
            args,
            matched: vec![false; names.patterns().len()],
            names,
            kernels,
            store,
            sources: expand(&args.inputs),
            next: 0,
            ready: VecDeque::new(),
            requests: None,
            ended: false,
        }
    }

    /// How many files there are.
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Makes the units of the next source, or leaves its requests to be read one by one.
    fn open_next(&mut self) -> bool {
        let Some(source) = self.sources.get(self.next) else {
            return false;
        };
        self.next += 1;
        let result = source.as_ref().map_err(Failure::clone).and_then(|source| {
            match source.kind {
                Kind::Requests => {
                    self.requests = Some(requests::Requests::open(source, self.store)?);
                }
                Kind::Object | Kind::Assembly => {
                    let units = object::units(source, self.kernels.chosen(), self.next - 1)?;
                    self.ready.extend(units);
                }
            }
            Ok(())
        });
        self.ready.extend(result.err().map(Err));
        true
    }

    /// Whether the unit is meant; then with the types that the options say.
    fn choose(&mut self, mut unit: Unit) -> Option<Result<Unit, Failure>> {
        if !self.names.chooses(&unit.prog) {
            return None;
        }
        for (pattern, matched) in self.names.patterns().iter().zip(&mut self.matched) {
            *matched = *matched || Names::new(std::slice::from_ref(pattern)).chooses(&unit.prog);
        }
        if self.args.ty.is_some() || self.args.attach_type.is_some() {
            let spec = Arc::make_mut(&mut unit.spec);
            if let Some(ty) = self.args.ty {
                spec.ty = ty;
                spec.unresolved
                    .retain(|u| !u.what.starts_with(UNKNOWN_TYPE));
            }
            spec.attach = self.args.attach_type.unwrap_or(spec.attach);
        }
        Some(help::typed(unit))
    }

    /// What is said once everything was read: names that matched no program.
    fn unmatched(&mut self) -> Option<Result<Unit, Failure>> {
        if self.ended {
            return None;
        }
        self.ended = true;
        let rows = self.names.patterns().iter().zip(&self.matched);
        let missing: Vec<_> = rows
            .filter(|(_, matched)| !**matched)
            .map(|(p, _)| p.as_str())
            .collect();
        if missing.is_empty() {
            return None;
        }
        let what = format!("no program matches --prog {}", missing.join(", "));
        Some(Err(
            Failure::new(what).help("`skep inspect FILE` lists an object's programs")
        ))
    }
}

impl Iterator for Units<'_> {
    type Item = Result<Unit, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.ready.pop_front() {
                Some(Ok(unit)) => match self.choose(unit) {
                    Some(chosen) => return Some(chosen),
                    None => continue,
                },
                Some(failure) => return Some(failure),
                None => {}
            }
            match self
                .requests
                .as_mut()
                .map(|r| r.next(self.kernels, self.next - 1))
            {
                Some(Some(units)) => self.ready.extend(units),
                Some(None) => self.requests = None,
                None if self.open_next() => {}
                None => return self.unmatched(),
            }
        }
    }
}

/// A path as it is named in errors.
pub(crate) fn shown(path: &Path) -> String {
    if path.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}
