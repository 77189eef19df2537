//! `--topology`: a machine with interfaces from a file, packets through it, and what became of each.

use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::path::Path;

use serde_json::{Value, json};
use skep_host::maps::Snapshot;
use skep_host::text::value;
use skep_host::topology::Topology;
use skep_host::{End, Fate, Host, IfIndex};

use crate::args::TextFormat;
use crate::exit::Tally;
use crate::failure::Failure;
use crate::progress::Count;
use crate::style::{DIM, TITLE};
use crate::verify::finish;

use super::{RunArgs, many, print};

/// Packets that are shown one by one; JSON has more.
const MOST_SHOWN: usize = 32;
const MOST_IN_JSON: usize = 1 << 16;

/// Runs a topology.
///
/// # Errors
/// What makes no sense in the file, or a program that a trap ends.
pub(super) fn run(path: &Path, args: &RunArgs) -> Result<Tally, Failure> {
    let mut topology = Topology::open(path)?;
    let packets = std::mem::take(&mut topology.packets);
    if packets.is_empty() {
        return Err(Failure::of(path.display(), "the file holds no packets")
            .help("a packet begins with [[packet]]"));
    }
    let before = Snapshot::take(topology.host.sim_mut());
    let (mut fates, mut ends) = (Vec::new(), BTreeMap::<String, u64>::new());
    let (mut sent, mut tally) = (Vec::new(), Tally::default());
    let rounds = args.repeat as usize;
    let progress = Count::new((packets.len() * rounds) as u64);
    let mut done = 0;
    'all: for round in 0..rounds {
        for packet in &packets {
            let fate = match topology.put(packet) {
                Ok(fate) => fate,
                Err(error) => {
                    anstream::eprintln!(
                        "packet {} of the topology:",
                        done % packets.len() as u64 + 1
                    );
                    Failure::from(error).print();
                    tally.failed = true;
                    break 'all;
                }
            };
            for arrival in &fate.ends {
                *ends
                    .entry(end_text(&topology.host, &arrival.end))
                    .or_default() += 1;
                if round == 0 && args.write.is_some() && matches!(arrival.end, End::Sent { .. }) {
                    sent.push(arrival.packet.data.clone());
                }
            }
            drain(&mut topology);
            if fates.len() < MOST_IN_JSON {
                fates.push((packet.ifindex, packet.arrives, packet.data.len(), fate));
            }
            done += 1;
            if done % (1 << 12) == 0 {
                progress.at(done);
            }
        }
    }
    progress.finish();
    if let Some(to) = &args.write {
        many::write_capture(to, sent.iter().map(|data| (0, data.as_slice())))?;
    }
    let printed = match args.format {
        TextFormat::Human => human(path, &mut topology, &fates, &ends, before),
        TextFormat::Json => document(&mut topology, &fates, &ends, before),
    };
    finish(printed, tally)
}

/// Empties queues that nobody reads here, so that they do not grow for ever.
fn drain(topology: &mut Topology) {
    for number in 2.. {
        let index = IfIndex(number);
        if topology.host.device(index).is_err() {
            break;
        }
        while topology.host.receive(index).is_some() {}
        while topology.host.take_sent(index).is_some() {}
    }
    let sockets: Vec<_> = topology.sockets.iter().map(|s| (s.0, s.2)).collect();
    for (map, place) in sockets {
        while topology.host.take_frame(map, place).is_some() {}
    }
}

type Followed = (IfIndex, bool, usize, Fate);

fn name(host: &Host, index: IfIndex) -> String {
    host.device(index)
        .map_or_else(|_| format!("device {}", index.0), |d| d.name.clone())
}

fn end_text(host: &Host, end: &End) -> String {
    match end {
        End::Received { ifindex } => format!("received at {}", name(host, *ifindex)),
        End::Sent { ifindex } => format!("sent through {}", name(host, *ifindex)),
        End::Socket { map, index } => {
            let map = host
                .sim()
                .maps()
                .get(*map)
                .map_or("", |m| m.spec().name.as_str());
            format!("AF_XDP socket {map}[{index}]")
        }
        End::Dropped { ifindex, why } => format!("dropped at {}: {why}", name(host, *ifindex)),
    }
}

fn human(
    path: &Path,
    topology: &mut Topology,
    fates: &[Followed],
    ends: &BTreeMap<String, u64>,
    before: Snapshot,
) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{TITLE}{}{TITLE:#}", path.display())?;
    let host = &topology.host;
    for (number, (ifindex, arrives, len, fate)) in fates.iter().take(MOST_SHOWN).enumerate() {
        let how = if *arrives { "arrives at" } else { "sent from" };
        writeln!(
            out,
            "  {DIM}packet{DIM:#} {}  {len} bytes, {how} {}",
            number + 1,
            name(host, *ifindex)
        )?;
        for hop in &fate.hops {
            let (device, hook) = (name(host, hop.ifindex), hop.hook.name());
            let verdict = if hop.verdict.is_empty() {
                hop.retval.to_string()
            } else {
                hop.verdict.clone()
            };
            writeln!(
                out,
                "    {device:8} {hook:10} {}  {verdict}",
                host.program_name(hop.prog)
            )?;
        }
        for arrival in &fate.ends {
            writeln!(
                out,
                "    {TITLE}{}{TITLE:#}, {} bytes",
                end_text(host, &arrival.end),
                arrival.packet.data.len()
            )?;
        }
    }
    if fates.len() > MOST_SHOWN {
        writeln!(out, "  {DIM}… and more{DIM:#}")?;
    }
    let width = ends.keys().map(|e| e.chars().count()).max().unwrap_or(0);
    writeln!(out, "  {DIM}{:width$}  {:>10}{DIM:#}", "end", "packets")?;
    for (end, count) in ends {
        writeln!(out, "  {end:width$}  {count:>10}")?;
    }
    for event in topology.host.take_unheard().iter().take(MOST_SHOWN) {
        let text = format!("[{}] {}", event.index, value::hex(&event.data));
        writeln!(out, "  {DIM}perf event{DIM:#}  {text}")?;
    }
    for line in topology.host.take_printed() {
        writeln!(out, "  {DIM}printk{DIM:#}      {line}")?;
    }
    for change in &before.changes(topology.host.sim_mut()) {
        print::map(&mut out, change)?;
    }
    Ok(())
}

fn document(
    topology: &mut Topology,
    fates: &[Followed],
    ends: &BTreeMap<String, u64>,
    before: Snapshot,
) -> io::Result<()> {
    let host = &topology.host;
    let packets: Vec<Value> = fates
        .iter()
        .map(|(ifindex, arrives, len, fate)| {
            let hops = fate.hops.iter().map(|hop| {
                json!({
                    "interface": name(host, hop.ifindex), "hook": hop.hook.name(),
                    "prog_name": host.program_name(hop.prog), "retval": hop.retval,
                    "verdict": hop.verdict, "insns": hop.insns,
                })
            });
            let ends = fate
                .ends
                .iter()
                .map(|a| json!({ "end": end_text(host, &a.end), "len": a.packet.data.len() }));
            json!({
                "interface": name(host, *ifindex), "arrives": arrives, "len": len,
                "hops": hops.collect::<Vec<_>>(), "ends": ends.collect::<Vec<_>>(),
            })
        })
        .collect();
    let printk = topology.host.take_printed();
    let changes = before.changes(topology.host.sim_mut());
    let document = json!({
        "schema": "skep.topology/1",
        "packets": packets,
        "ends": ends,
        "printk": printk,
        "maps": changes.iter().map(print::json_map).collect::<Vec<_>>(),
    });
    writeln!(stdout().lock(), "{document:#}")
}
