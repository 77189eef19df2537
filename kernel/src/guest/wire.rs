//! How load requests travel to a guest and answers come back: little-endian numbers, and bytes behind
//! their length.
//!
//! A batch carries the BTF and maps that its requests are the first to name; later batches refer to
//! them by number. Both ends are of one build, so nothing here has versions.

use std::sync::Arc;

use skep_btf::Btf;
use skep_isa::RawInsn;
use skep_spec::{
    AttachType, FuncInfo, LineInfo, MapFlags, MapSpec, MapType, ProgFlags, ProgType, ProgramSpec,
};

use crate::{Errno, LoadOptions, MapError, MapStep, Ran, RunOutcome, RunRequest};

/// What is written.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    /// A number that counts something here: none is near the limit.
    pub(crate) fn count(&mut self, n: usize) {
        self.u32(u32::try_from(n).unwrap_or(u32::MAX));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }
}

/// What is read; every method answers `None` beyond the end.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(self.bytes()?).into_owned())
    }
}

/// No BTF.
const NONE: u32 = u32::MAX;

/// BTF and maps by number. The host's holds what it has sent, the guest's what has come.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) btfs: Vec<Arc<Btf>>,
    pub(crate) maps: Vec<Arc<MapSpec>>,
}

/// Requests with the tables' new entries.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) options: LoadOptions,
    /// Each with the numbers of its maps, and what it is run on.
    pub(crate) requests: Vec<(ProgramSpec, Vec<u32>, Vec<RunRequest>)>,
}

/// A request, and what it is run on where it is accepted.
pub(crate) type Asked<'a> = (&'a ProgramSpec, &'a [RunRequest]);

/// Writes a batch, and remembers what it introduced.
pub(crate) fn write_batch(
    tables: &mut Tables,
    options: &LoadOptions,
    requests: &[Asked<'_>],
) -> Vec<u8> {
    let (btfs, maps) = (tables.btfs.len(), tables.maps.len());
    let mut body = Writer::default();
    body.count(requests.len());
    for (request, runs) in requests {
        write_request(&mut body, tables, request);
        body.count(runs.len());
        runs.iter().for_each(|run| write_run(&mut body, run));
    }
    let mut new_maps = Writer::default();
    // A map may bring BTF along, so maps are written before BTF is counted.
    for map in tables.maps.get(maps..).unwrap_or_default().to_vec() {
        write_map(&mut new_maps, tables, &map);
    }
    let mut out = Writer::default();
    out.u32(options.log_level);
    out.count(options.log_cap);
    out.u32(options.line_info.into());
    out.count(tables.btfs.len() - btfs);
    for btf in tables.btfs.get(btfs..).unwrap_or_default() {
        out.bytes(btf.bytes());
    }
    out.count(tables.maps.len() - maps);
    out.0.append(&mut new_maps.0);
    out.0.append(&mut body.0);
    out.0
}

/// Reads a batch into the tables; `None` if it is damaged.
pub(crate) fn read_batch(bytes: &[u8], tables: &mut Tables) -> Option<Batch> {
    let r = &mut Reader(bytes);
    let options = LoadOptions {
        log_level: r.u32()?,
        log_cap: r.u32()? as usize,
        line_info: r.u32()? != 0,
    };
    for _ in 0..r.u32()? {
        tables.btfs.push(Arc::new(Btf::parse(r.bytes()?).ok()?));
    }
    for _ in 0..r.u32()? {
        let map = read_map(r, tables)?;
        tables.maps.push(Arc::new(map));
    }
    let mut requests = Vec::new();
    for _ in 0..r.u32()? {
        let (spec, maps) = read_request(r, tables)?;
        let mut runs = Vec::new();
        for _ in 0..r.u32()? {
            runs.push(read_run(r)?);
        }
        requests.push((spec, maps, runs));
    }
    Some(Batch { options, requests })
}

fn number_of<T>(list: &mut Vec<Arc<T>>, item: &Arc<T>) -> u32 {
    // Programs of one object or seed share recent entries, so the search runs backwards.
    let known = list.iter().rposition(|known| Arc::ptr_eq(known, item));
    let at = known.unwrap_or_else(|| {
        list.push(Arc::clone(item));
        list.len() - 1
    });
    u32::try_from(at).unwrap_or(NONE)
}

fn write_btf(out: &mut Writer, tables: &mut Tables, btf: Option<&Arc<Btf>>) {
    out.u32(btf.map_or(NONE, |btf| number_of(&mut tables.btfs, btf)));
}

fn read_btf(r: &mut Reader<'_>, tables: &Tables) -> Option<Option<Arc<Btf>>> {
    match r.u32()? {
        NONE => Some(None),
        at => tables.btfs.get(at as usize).cloned().map(Some),
    }
}

fn write_map(out: &mut Writer, tables: &mut Tables, map: &MapSpec) {
    out.bytes(map.name.as_bytes());
    let numbers = [
        map.ty.number(),
        map.key_size,
        map.value_size,
        map.max_entries,
        map.flags.bits(),
        map.numa_node,
        map.btf_key_id,
        map.btf_value_id,
        map.vmlinux_value_id,
        u32::from(map.frozen),
        u32::from(map.init.is_some()),
        u32::from(map.inner.is_some()),
    ];
    numbers.into_iter().for_each(|n| out.u32(n));
    out.u64(map.extra);
    write_btf(out, tables, map.btf.as_ref());
    if let Some(init) = &map.init {
        out.bytes(init);
    }
    if let Some(inner) = &map.inner {
        write_map(out, tables, inner);
    }
}

fn read_map(r: &mut Reader<'_>, tables: &Tables) -> Option<MapSpec> {
    let name = r.text()?;
    let mut numbers = [0; 12];
    for number in &mut numbers {
        *number = r.u32()?;
    }
    let [
        ty,
        key,
        value,
        entries,
        flags,
        node,
        key_id,
        value_id,
        kernel_id,
        frozen,
        init,
        inner,
    ] = numbers;
    let mut map = MapSpec::new(&name, MapType::new(ty)?, key, value, entries);
    map.flags = MapFlags::from_bits_retain(flags);
    map.numa_node = node;
    map.btf_key_id = key_id;
    map.btf_value_id = value_id;
    map.vmlinux_value_id = kernel_id;
    map.frozen = frozen != 0;
    map.extra = r.u64()?;
    map.btf = read_btf(r, tables)?;
    if init != 0 {
        map.init = Some(r.bytes()?.to_vec());
    }
    if inner != 0 {
        map.inner = Some(Box::new(read_map(r, tables)?));
    }
    Some(map)
}

fn write_request(out: &mut Writer, tables: &mut Tables, spec: &ProgramSpec) {
    out.bytes(spec.name.as_bytes());
    out.bytes(spec.license.as_bytes());
    let numbers = [
        spec.ty.number(),
        spec.attach.number(),
        spec.flags.bits(),
        spec.attach_btf_id,
    ];
    numbers.into_iter().for_each(|n| out.u32(n));
    write_btf(out, tables, spec.btf.as_ref());
    out.count(spec.insns.len());
    for insn in &spec.insns {
        out.0.extend_from_slice(&insn.to_le_bytes());
    }
    out.count(spec.maps.len());
    for map in &spec.maps {
        let number = number_of(&mut tables.maps, map);
        out.u32(number);
    }
    out.count(spec.func_info.len());
    for info in &spec.func_info {
        out.u32(info.insn_off);
        out.u32(info.type_id);
    }
    out.count(spec.line_info.len());
    for line in &spec.line_info {
        [
            line.insn_off,
            line.file_name_off,
            line.line_off,
            line.line_col,
        ]
        .into_iter()
        .for_each(|n| out.u32(n));
    }
}

fn read_request(r: &mut Reader<'_>, tables: &Tables) -> Option<(ProgramSpec, Vec<u32>)> {
    let (name, license) = (r.text()?, r.text()?);
    let ty = ProgType::new(r.u32()?)?;
    let mut spec = ProgramSpec::new(&name, ty, Vec::new());
    spec.license = license;
    spec.attach = AttachType::new(r.u32()?)?;
    spec.flags = ProgFlags::from_bits_retain(r.u32()?);
    spec.attach_btf_id = r.u32()?;
    spec.btf = read_btf(r, tables)?;
    for _ in 0..r.u32()? {
        spec.insns
            .push(RawInsn::from_le_bytes(r.u64()?.to_le_bytes()));
    }
    let mut maps = Vec::new();
    for _ in 0..r.u32()? {
        let number = r.u32()?;
        spec.maps
            .push(Arc::clone(tables.maps.get(number as usize)?));
        maps.push(number);
    }
    for _ in 0..r.u32()? {
        spec.func_info.push(FuncInfo {
            insn_off: r.u32()?,
            type_id: r.u32()?,
        });
    }
    for _ in 0..r.u32()? {
        spec.line_info.push(LineInfo {
            insn_off: r.u32()?,
            file_name_off: r.u32()?,
            line_off: r.u32()?,
            line_col: r.u32()?,
        });
    }
    Some((spec, maps))
}

fn write_run(out: &mut Writer, run: &RunRequest) {
    out.bytes(&run.data);
    out.bytes(&run.ctx);
    out.count(run.data_out);
    out.count(run.ctx_out);
    let numbers = [run.repeat, run.flags, run.cpu, run.batch_size];
    numbers.into_iter().for_each(|n| out.u32(n));
}

fn read_run(r: &mut Reader<'_>) -> Option<RunRequest> {
    Some(RunRequest {
        data: r.bytes()?.to_vec(),
        ctx: r.bytes()?.to_vec(),
        data_out: r.u32()? as usize,
        ctx_out: r.u32()? as usize,
        repeat: r.u32()?,
        flags: r.u32()?,
        cpu: r.u32()?,
        batch_size: r.u32()?,
    })
}

fn write_ran(out: &mut Writer, ran: &Ran) {
    out.count(ran.runs.len());
    for run in &ran.runs {
        let (errno, run) = match run {
            Ok(run) => (0, run),
            Err(errno) => (errno.0, &RunOutcome::default()),
        };
        out.u32(errno.cast_unsigned());
        out.u32(run.retval);
        out.u32(run.duration_ns);
        out.u32(run.data_cut.into());
        out.bytes(&run.data);
        out.bytes(&run.ctx);
    }
    out.count(ran.maps.len());
    for map in &ran.maps {
        out.count(map.len());
        for (key, value) in map {
            out.bytes(key);
            out.bytes(value);
        }
    }
}

fn read_ran(r: &mut Reader<'_>) -> Option<Ran> {
    let mut ran = Ran::default();
    for _ in 0..r.u32()? {
        let errno = r.u32()?.cast_signed();
        let run = RunOutcome {
            retval: r.u32()?,
            duration_ns: r.u32()?,
            data_cut: r.u32()? != 0,
            data: r.bytes()?.to_vec(),
            ctx: r.bytes()?.to_vec(),
        };
        let run = if errno == 0 {
            Ok(run)
        } else {
            Err(Errno(errno))
        };
        ran.runs.push(run);
    }
    for _ in 0..r.u32()? {
        let mut map = Vec::new();
        for _ in 0..r.u32()? {
            map.push((r.bytes()?.to_vec(), r.bytes()?.to_vec()));
        }
        ran.maps.push(map);
    }
    Some(ran)
}

/// What a guest says of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// The kernel was asked: its errno (0: it loaded), its log, and what runs gave.
    Loaded(i32, String, Ran),
    /// A map could not be made.
    Map(MapError),
    /// The BTF was refused, with the last line of the complaint.
    Btf(i32, String),
}

const MAP_STEPS: [MapStep; 6] = [
    MapStep::Btf,
    MapStep::Create,
    MapStep::CreateInner,
    MapStep::MapArena,
    MapStep::Write,
    MapStep::Freeze,
];

pub(crate) fn write_reply(reply: &Reply) -> Vec<u8> {
    let mut out = Writer::default();
    let (kind, errno, step, text) = match reply {
        Reply::Loaded(errno, log, _) => (0, *errno, 0, log),
        Reply::Btf(errno, message) => (1, *errno, 0, message),
        Reply::Map(error) => {
            let step = MAP_STEPS.iter().position(|step| *step == error.step);
            (2, error.errno.0, step.unwrap_or(0), &error.map)
        }
    };
    out.u32(kind);
    out.u32(errno.cast_unsigned());
    out.count(step);
    out.bytes(text.as_bytes());
    if let Reply::Loaded(_, _, ran) = reply {
        write_ran(&mut out, ran);
    }
    out.0
}

pub(crate) fn read_reply(bytes: &[u8]) -> Option<Reply> {
    let r = &mut Reader(bytes);
    let (kind, errno, step) = (r.u32()?, r.u32()?.cast_signed(), r.u32()?);
    let text = r.text()?;
    match kind {
        0 => Some(Reply::Loaded(errno, text, read_ran(r)?)),
        1 => Some(Reply::Btf(errno, text)),
        2 => {
            let step = *MAP_STEPS.get(step as usize)?;
            Some(Reply::Map(MapError {
                map: text,
                step,
                errno: Errno(errno),
            }))
        }
        _ => None,
    }
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// The guest is up.
    Ready = b'R',
    /// The guest begins with this request.
    Begin = b'B',
    /// The guest's reply to it.
    Reply = b'A',
    /// A batch, to the guest.
    Batch = b'Q',
    /// A batch lies in the window, of as many bytes as the number says.
    Look = b'L',
    /// The guest has done with a batch.
    Done = b'D',
    /// The guest could not read what it was sent.
    Damaged = b'X',
}

const KINDS: [FrameKind; 7] = [
    FrameKind::Ready,
    FrameKind::Begin,
    FrameKind::Reply,
    FrameKind::Batch,
    FrameKind::Look,
    FrameKind::Done,
    FrameKind::Damaged,
];

/// A frame on the serial line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    /// Which request, counted over all batches.
    pub(crate) job: u32,
    pub(crate) body: Vec<u8>,
}

/// Stands before each frame, so that damage is noticed.
const MAGIC: &[u8; 3] = b"\x1bsk";
/// Bytes of a frame's head.
pub(crate) const HEAD: usize = 12;
/// Bytes of a frame's body at most.
const MOST: usize = 512 << 20;

pub(crate) fn write_frame(kind: FrameKind, job: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Writer(MAGIC.to_vec());
    out.0.push(kind as u8);
    out.u32(job);
    out.bytes(body);
    out.0
}

/// The kind, number and body length that a frame's head says; `None` if it is none.
pub(crate) fn read_head(head: &[u8; HEAD]) -> Option<(FrameKind, u32, usize)> {
    let (kind, numbers) = head.strip_prefix(MAGIC)?.split_first()?;
    let kind = *KINDS.iter().find(|known| **known as u8 == *kind)?;
    let r = &mut Reader(numbers);
    let (job, length) = (r.u32()?, r.u32()? as usize);
    (length <= MOST).then_some((kind, job, length))
}

/// Reads one frame.
///
/// # Errors
/// The end of the stream, or something that is no frame.
pub(crate) fn read_frame(stream: &mut impl std::io::Read) -> std::io::Result<Frame> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head)?;
    let Some((kind, job, length)) = read_head(&head) else {
        return Err(std::io::ErrorKind::InvalidData.into());
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Frame { kind, job, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ProgramSpec {
        let mut inner = MapSpec::new("inner", MapType::Array, 4, 8, 1);
        inner.init = Some(vec![1, 2, 3]);
        let mut map = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 2);
        map.inner = Some(Box::new(inner));
        map.extra = 1 << 40;
        map.btf = Some(Arc::new(
            Btf::parse(skep_btf::BtfBuilder::new().to_bytes()).unwrap(),
        ));
        let insns = vec![
            RawInsn::new(0xb7, 0, 0, -1, -2),
            RawInsn::new(0x95, 0, 0, 0, 0),
        ];
        let mut spec = ProgramSpec::new("p", ProgType::Tracing, insns);
        spec.attach = AttachType::TraceIter;
        spec.maps = vec![Arc::new(map)];
        spec.attach_btf_id = 7;
        spec.flags = ProgFlags::SLEEPABLE;
        spec.func_info = vec![FuncInfo {
            insn_off: 0,
            type_id: 3,
        }];
        spec.line_info = vec![LineInfo {
            insn_off: 1,
            file_name_off: 2,
            line_off: 3,
            line_col: 4,
        }];
        spec
    }

    #[test]
    fn requests_arrive_as_they_were_sent() {
        let spec = request();
        let runs = [RunRequest {
            data: vec![1, 2],
            ctx: vec![3],
            data_out: 9,
            repeat: 2,
            ..RunRequest::default()
        }];
        let (mut here, mut there) = (Tables::default(), Tables::default());
        let bytes = write_batch(
            &mut here,
            &LoadOptions::quiet(),
            &[(&spec, &runs), (&spec, &[])],
        );
        let batch = read_batch(&bytes, &mut there).unwrap();
        assert_eq!(batch.requests.len(), 2);
        assert_eq!((there.maps.len(), there.btfs.len()), (1, 1));
        assert_eq!(batch.requests[0].2, runs);
        let (got, maps, runs) = &batch.requests[1];
        assert!(runs.is_empty());
        assert_eq!(format!("{got:?}"), format!("{spec:?}"));
        assert_eq!(maps, &[0]);
        // What is known is not sent again.
        let again = write_batch(&mut here, &LoadOptions::quiet(), &[(&spec, &[])]);
        assert!(again.len() < bytes.len() / 2);
        let batch = read_batch(&again, &mut there).unwrap();
        assert_eq!(format!("{:?}", batch.requests[0].0), format!("{spec:?}"));
    }

    #[test]
    fn a_batch_cut_anywhere_is_damaged() {
        let (spec, options) = (request(), LoadOptions::quiet());
        let bytes = write_batch(&mut Tables::default(), &options, &[(&spec, &[])]);
        for end in 0..bytes.len() {
            assert!(
                read_batch(&bytes[..end], &mut Tables::default()).is_none(),
                "{end}"
            );
        }
    }

    #[test]
    fn replies_arrive_as_they_were_sent() {
        let error = MapError {
            map: "m".to_owned(),
            step: MapStep::Freeze,
            errno: Errno::PERM,
        };
        let ran = Ran {
            runs: vec![Ok(RunOutcome::default()), Err(Errno::INVAL)],
            maps: vec![Vec::new(), vec![(vec![1], vec![2, 3])]],
        };
        let replies = [
            Reply::Loaded(0, "processed".to_owned(), ran),
            Reply::Btf(22, "bad".to_owned()),
            Reply::Map(error),
        ];
        for reply in replies {
            let bytes = write_frame(FrameKind::Reply, 9, &write_reply(&reply));
            let frame = read_frame(&mut bytes.as_slice()).unwrap();
            assert_eq!((frame.kind, frame.job), (FrameKind::Reply, 9));
            assert_eq!(read_reply(&frame.body), Some(reply));
        }
        assert!(read_frame(&mut &b"\x1bskZ........"[..]).is_err());
    }
}
