//! Readers of bytes: whatever they are given, they answer with a result or an error.

use std::fmt::Write;
use std::io::{BufReader, Cursor};
use std::path::Path;

use skep_asm::{Options, assemble, cases, disassemble_program, write_elf};
use skep_btf::{Btf, BtfExt};
use skep_corpus::{BtfStore, RequestReader};
use skep_host::packet::capture;
use skep_isa::RawInsn;
use skep_spec::{Facts, ObjectSpec, Profile, ProgramSpec};
use skep_verifier::report::Log;
use skep_verifier::{Config, verify};

use super::tables;
use crate::Rng;

/// Something that reads bytes from anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// ELF objects.
    Elf,
    /// BTF, and BTF.ext.
    Btf,
    /// Assembly.
    Asm,
    /// Captured load requests.
    Requests,
    /// Instructions, to be decoded and disassembled.
    Insns,
    /// Verifier logs of kernels.
    Log,
    /// Packet captures, pcap and pcapng.
    Capture,
    /// Files of tests, in TOML.
    Tests,
}

/// All of them.
pub const READERS: &[Reader] = &[
    Reader::Elf,
    Reader::Btf,
    Reader::Asm,
    Reader::Requests,
    Reader::Insns,
    Reader::Log,
    Reader::Capture,
    Reader::Tests,
];

impl Reader {
    /// Its oracle's name.
    pub fn name(self) -> &'static str {
        match self {
            Reader::Elf => "elf_never_panics",
            Reader::Btf => "btf_never_panics",
            Reader::Asm => "asm_never_panics",
            Reader::Requests => "captured_requests_never_panic",
            Reader::Insns => "insns_never_panic",
            Reader::Log => "logs_never_panic",
            Reader::Capture => "captures_never_panic",
            Reader::Tests => "tests_never_panic",
        }
    }

    /// What its oracle says.
    pub fn about(self) -> &'static str {
        match self {
            Reader::Elf => "any bytes given as an object give a result or an error",
            Reader::Btf => "any bytes given as BTF give a result or an error",
            Reader::Asm => "any bytes given as assembly give a result or an error",
            Reader::Requests => "any bytes given as captured requests give results or errors",
            Reader::Insns => "any bytes given as instructions are decoded and shown",
            Reader::Log => "any bytes given as a verifier's log give a message or none",
            Reader::Capture => "any bytes given as a packet capture give frames or an error",
            Reader::Tests => "any bytes given as a file of tests give results or an error",
        }
    }

    /// Whether it reads text.
    pub fn is_text(self) -> bool {
        match self {
            Reader::Asm | Reader::Requests | Reader::Log | Reader::Tests => true,
            Reader::Elf | Reader::Btf | Reader::Insns | Reader::Capture => false,
        }
    }

    /// Reads and looks at all that came of it.
    ///
    /// # Panics
    /// Never; this is what it is called for.
    pub fn read(self, bytes: &[u8]) {
        match self {
            Reader::Elf => read_elf(bytes),
            Reader::Btf => read_btf(bytes),
            Reader::Asm => {
                let text = String::from_utf8_lossy(bytes);
                if let Ok(object) = assemble(&text, &Options::default()) {
                    let _ = write_elf(&object, None);
                }
                let _ = cases::parse(&text, &Options::default());
            }
            Reader::Requests => {
                let store = BtfStore::empty();
                let source = Box::new(BufReader::new(Cursor::new(bytes.to_vec())));
                for request in RequestReader::new(Path::new("requests"), source, &store).flatten() {
                    let _ = disassemble_program(&request.spec);
                }
            }
            Reader::Insns => read_insns(bytes),
            Reader::Log => {
                let text = String::from_utf8_lossy(bytes);
                let _ = skep_kernel::log::last_message(&text);
                let _ = skep_kernel::log::stats(&text);
            }
            Reader::Capture => {
                let _ = capture::is_capture(bytes);
                let _ = capture::read(bytes);
            }
            Reader::Tests => tables::read(&String::from_utf8_lossy(bytes)),
        }
    }
}

fn read_elf(bytes: &[u8]) {
    let options = skep_loader::Options::default();
    if let Ok(object) = skep_loader::open("object.bpf.o", bytes, &options) {
        let _ = skep_asm::disassemble(&object);
    }
}

fn read_btf(bytes: &[u8]) {
    let _ = BtfExt::parse(bytes);
    let Ok(btf) = Btf::parse(bytes) else { return };
    // Drawing a type costs its size, so only so many are drawn.
    for (at, (id, ty)) in btf.types().enumerate() {
        let _ = (
            ty.name(),
            btf.size_of(id),
            btf.align_of(id),
            btf.resolve(id),
        );
        let _ = btf.find_by_name(ty.kind(), ty.name());
        if at < 64 {
            let _ = (btf.draw(id), btf.type_name(id));
        }
    }
}

fn read_insns(bytes: &[u8]) {
    let insns: Vec<RawInsn> = bytes
        .chunks_exact(8)
        .filter_map(|chunk| Some(RawInsn::from_le_bytes(*chunk.first_chunk()?)))
        .collect();
    for at in 0..insns.len() {
        let _ = skep_isa::decode(&insns, at);
    }
    let spec = ProgramSpec::new("insns", skep_spec::ProgType::SocketFilter, insns);
    let _ = disassemble_program(&spec);
}

/// Something that the reader takes, made from a program.
pub(super) fn samples(reader: Reader, spec: &ProgramSpec, rng: &mut Rng) -> Vec<u8> {
    match reader {
        Reader::Elf => elf_of(spec).unwrap_or_default(),
        Reader::Btf => spec
            .btf
            .as_ref()
            .map_or_else(|| header(rng), |btf| btf.bytes().to_vec()),
        Reader::Asm => disassemble_program(spec).into_bytes(),
        Reader::Requests => request_line(spec).into_bytes(),
        Reader::Insns => slots(&spec.insns),
        Reader::Log => {
            let facts = Facts::new(Profile::linux_6_18());
            let config = Config {
                max_processed: Some(2000),
                ..Config::default()
            };
            let mut log = Log::new(rng.pick([1, 2, 7]));
            let _ = verify(spec, &facts, &config, &mut log);
            log.text().as_bytes().to_vec()
        }
        Reader::Tests => tables::sample(rng),
        Reader::Capture => {
            let mut bytes = capture::header();
            for _ in 0..rng.below(5) {
                let packet: Vec<u8> = (0..rng.below(120)).map(|_| rng.next() as u8).collect();
                bytes.extend(capture::record(rng.next() >> 20, &packet));
            }
            bytes
        }
    }
}

/// The object of a program, if it can be written.
pub(super) fn elf_of(spec: &ProgramSpec) -> Option<Vec<u8>> {
    let object = ObjectSpec {
        name: "object".to_owned(),
        license: spec.license.clone(),
        kernel_version: 0,
        big_endian: false,
        programs: vec![spec.clone()],
        maps: spec.maps.clone(),
        btf: spec.btf.clone(),
        skipped: Vec::new(),
    };
    write_elf(&object, None).ok()
}

/// The head of BTF with anything behind it.
fn header(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
    let (types, strings) = (rng.below(30) as u32 * 4, rng.below(40) as u32);
    for word in [0, types, types, strings] {
        bytes.extend(word.to_le_bytes());
    }
    for _ in 0..types / 4 {
        let word = match rng.below(3) {
            0 => (rng.below(20) << 24 | rng.below(4)) as u32,
            1 => rng.below(30) as u32,
            _ => rng.next() as u32,
        };
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((0..strings).map(|at| if at % 4 == 0 { 0 } else { b'a' }));
    bytes
}

fn slots(insns: &[RawInsn]) -> Vec<u8> {
    insns.iter().flat_map(|insn| insn.to_le_bytes()).collect()
}

/// The program as a captured request.
fn request_line(spec: &ProgramSpec) -> String {
    let mut out = format!(
        "{{\"id\":\"o.bpf.o/{0}\",\"file\":\"o.bpf.o\",\"prog\":\"{0}\",\"section\":\"\",\
         \"prog_type\":{1},\"expected_attach_type\":{2},\"prog_flags\":{3},\"attach_btf_id\":0,\
         \"license\":\"GPL\",\"errno\":0,\"insn_cnt\":{4},\"maps\":[",
        spec.name,
        spec.ty.number(),
        spec.attach.number(),
        spec.flags.bits(),
        spec.insns.len(),
    );
    for (at, map) in spec.maps.iter().enumerate() {
        let _ = write!(
            out,
            "{}{{\"fd\":{at},\"name\":\"{}\",\"type\":{},\"key\":{},\"value\":{},\"max\":{},\
             \"flags\":{},\"btf_key\":0,\"btf_value\":0,\"vmlinux_value_id\":0,\"extra\":0}}",
            if at == 0 { "" } else { "," },
            map.name,
            map.ty.number(),
            map.key_size,
            map.value_size,
            map.max_entries,
            map.flags.bits(),
        );
    }
    out.push_str("],\"insns\":\"");
    for byte in slots(&spec.insns) {
        let _ = write!(out, "{byte:02x}");
    }
    out.push_str("\"}\n");
    out
}
