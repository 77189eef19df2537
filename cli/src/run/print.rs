//! What a run did, as text or as JSON.

use std::io::{self, Write, stdout};

use serde_json::{Map, Value, json};
use skep_host::maps::{EntryChange, MapChange};
use skep_host::packet::diff;
use skep_host::text::{names, value};
use skep_sim::{Output, Redirect};
use skep_spec::tables::ctx::{self, CtxValue};
use skep_spec::{MapSpec, MapType};

use crate::input::Unit;
use crate::style::{BAD, DIM, GOOD, TITLE};

use super::Effects;

/// Entries, records and lines that are shown of one thing; JSON has them all.
const MOST_SHOWN: usize = 32;

/// Prints for people.
pub(super) fn human(unit: &Unit, effects: &Effects, repeat: u32) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let (ty, run) = (unit.spec.ty, &effects.ran.output);
    writeln!(out, "{TITLE}{}/{}{TITLE:#}  {ty}", unit.file, unit.prog)?;
    let meaning = names::verdict(ty, run.retval);
    let number = if run.retval.cast_signed() < 0 {
        run.retval.cast_signed().to_string()
    } else {
        run.retval.to_string()
    };
    let returned = match meaning.as_str() {
        "" => number,
        meaning => format!("{number}  {TITLE}{meaning}{TITLE:#}"),
    };
    item(&mut out, "returned", &returned)?;
    let insns = match effects.ran.insns {
        Some(insns) => format!("{insns} instructions"),
        None => "as machine code".to_owned(),
    };
    let times = if repeat == 1 {
        String::new()
    } else {
        format!(", the last of {repeat} runs")
    };
    item(&mut out, "executed", &format!("{insns}{times}"))?;
    printed(&mut out, &effects.output)?;
    if let Some(redirect) = &effects.output.redirect {
        item(&mut out, "redirected", &redirect_text(redirect))?;
    }
    packet(&mut out, effects)?;
    for (name, old, new) in context_changes(unit, effects) {
        item(&mut out, "context", &format!("{name} {old:#x} -> {new:#x}"))?;
    }
    for copy in &effects.output.clones {
        item(
            &mut out,
            "cloned",
            &format!("{} bytes to device {}", copy.data.len(), copy.ifindex),
        )?;
    }
    perf(&mut out, &effects.output)?;
    for change in &effects.maps {
        map(&mut out, change)?;
    }
    Ok(())
}

/// What programs printed and told.
pub(super) fn output(out: &mut dyn Write, output: &Output) -> io::Result<()> {
    printed(out, output)?;
    perf(out, output)
}

fn printed(out: &mut dyn Write, output: &Output) -> io::Result<()> {
    for line in output.printk.iter().take(MOST_SHOWN) {
        item(out, "printk", line)?;
    }
    more(out, output.printk.len())
}

fn perf(out: &mut dyn Write, output: &Output) -> io::Result<()> {
    for record in output.perf.iter().take(MOST_SHOWN) {
        let text = format!("[{}] {}", record.index, value::hex(&record.data));
        item(out, "perf event", &text)?;
    }
    more(out, output.perf.len())
}

fn item(out: &mut dyn Write, name: &str, text: &str) -> io::Result<()> {
    writeln!(out, "  {DIM}{name:10}{DIM:#}  {text}")
}

fn more(out: &mut dyn Write, count: usize) -> io::Result<()> {
    match count.checked_sub(MOST_SHOWN) {
        Some(more @ 1..) => writeln!(out, "  {DIM}… and {more} more{DIM:#}"),
        Some(0) | None => Ok(()),
    }
}

fn packet(out: &mut dyn Write, effects: &Effects) -> io::Result<()> {
    let (old, new) = (&effects.untouched.data, &effects.ran.output.data);
    if old.is_empty() && new.is_empty() {
        return Ok(());
    }
    item(out, "packet", &diff::summary(old, new))?;
    for line in diff::rows(old, new) {
        let (style, sign) = if line.is_new { (GOOD, '+') } else { (BAD, '-') };
        writeln!(out, "    {style}{sign} {}{style:#}", line.text())?;
    }
    Ok(())
}

/// The fields of the context that differ from what they are without the program. Pointers to the
/// packet are left out: the packet is shown itself.
fn context_changes(unit: &Unit, effects: &Effects) -> Vec<(String, u64, u64)> {
    let mut changes = Vec::new();
    let (old, new) = (&effects.untouched.ctx, &effects.ran.output.ctx);
    let fields = ctx::of(unit.spec.ty).map_or(&[][..], |table| table.fields);
    for field in fields
        .iter()
        .filter(|f| f.width <= 8 && f.value == CtxValue::Scalar)
    {
        for index in 0..field.count {
            let from = (field.off + index * field.width) as usize;
            let read = |bytes: &[u8]| {
                let bytes = bytes.get(from..from + field.width as usize)?;
                Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
            };
            let (Some(old), Some(new)) = (read(old), read(new)) else {
                continue;
            };
            if old != new {
                let index = if field.count == 1 {
                    String::new()
                } else {
                    format!("[{index}]")
                };
                changes.push((format!("{}{index}", field.name), old, new));
            }
        }
    }
    changes
}

fn redirect_text(redirect: &Redirect) -> String {
    match redirect {
        Redirect::Device { ifindex, flags } if flags & 1 == 1 => {
            format!("to the ingress side of device {ifindex}")
        }
        Redirect::Device { ifindex, .. } => format!("to device {ifindex}"),
        Redirect::Peer { ifindex } => format!("to the peer of device {ifindex}"),
        Redirect::Neighbour { ifindex } => format!("to a neighbour on device {ifindex}"),
        Redirect::Map { index, flags, .. } if flags & 8 != 0 => {
            format!("to every entry of a map (asked for {index})")
        }
        Redirect::Map { index, .. } => format!("to entry {index} of a map"),
    }
}

/// Changes of a map.
pub(super) fn map(out: &mut dyn Write, change: &MapChange) -> io::Result<()> {
    item(
        out,
        "map",
        &format!("{} {DIM}{}{DIM:#}", change.spec.name, change.spec.ty),
    )?;
    let mut lines = Vec::new();
    for entry in &change.entries {
        entry_lines(&mut lines, change, entry);
    }
    for record in &change.records {
        lines.push(value_text(&change.spec, record));
    }
    for line in lines.iter().take(MOST_SHOWN) {
        writeln!(out, "    {line}")?;
    }
    more(out, lines.len())
}

fn entry_lines(lines: &mut Vec<String>, change: &MapChange, entry: &EntryChange) {
    let spec = &change.spec;
    let btf = spec.btf.as_deref();
    if let (Some(old), Some(new)) = (&entry.old, &entry.new) {
        let variables = value::variables(btf, spec.btf_value_id);
        for (name, ty, place) in &variables {
            let (Some(old), Some(new)) = (old.get(place.clone()), new.get(place.clone())) else {
                continue;
            };
            if old != new {
                let (old, new) = (value::text(btf, *ty, old), value::text(btf, *ty, new));
                lines.push(format!("{name} = {new} {DIM}(was {old}){DIM:#}"));
            }
        }
        if !variables.is_empty() {
            return;
        }
    }
    let key = value::text(btf, spec.btf_key_id, &entry.key);
    let old = entry.old.as_ref().map(|value| values_text(change, value));
    lines.push(match (&entry.new, old) {
        (Some(new), Some(old)) => {
            format!(
                "[{key}] = {} {DIM}(was {old}){DIM:#}",
                values_text(change, new)
            )
        }
        (Some(new), None) => format!("[{key}] = {} {DIM}(new){DIM:#}", values_text(change, new)),
        (None, old) => format!(
            "[{key}] deleted {DIM}(was {}){DIM:#}",
            old.unwrap_or_default()
        ),
    });
}

/// One value, or the values of all CPUs.
fn values_text(change: &MapChange, bytes: &[u8]) -> String {
    let spec = &change.spec;
    if change.cpus == 0 {
        return value_text(spec, bytes);
    }
    let size = spec.value_size as usize;
    let mut texts = Vec::new();
    for (cpu, one) in bytes.chunks(size.next_multiple_of(8).max(8)).enumerate() {
        let one = one.get(..size).unwrap_or(one);
        texts.push(format!("cpu{cpu}: {}", value_text(spec, one)));
    }
    texts.join(", ")
}

fn value_text(spec: &MapSpec, bytes: &[u8]) -> String {
    let records = matches!(spec.ty, MapType::Ringbuf | MapType::UserRingbuf);
    if records && spec.btf_value_id == 0 {
        return value::hex(bytes);
    }
    value::text(spec.btf.as_deref(), spec.btf_value_id, bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Prints one JSON document.
pub(super) fn json(unit: &Unit, effects: &Effects, repeat: u32) -> io::Result<()> {
    let run = &effects.ran.output;
    let output = &effects.output;
    let context: Map<String, Value> = context_changes(unit, effects)
        .into_iter()
        .map(|(name, old, new)| (name, json!({ "old": old, "new": new })))
        .collect();
    let perf: Vec<_> = output
        .perf
        .iter()
        .map(|r| json!({ "index": r.index, "data": hex(&r.data) }))
        .collect();
    let clones: Vec<_> = output
        .clones
        .iter()
        .map(|c| json!({ "ifindex": c.ifindex, "flags": c.flags, "data": hex(&c.data) }))
        .collect();
    let document = json!({
        "schema": "skep.run/1",
        "file_name": unit.file,
        "prog_name": unit.prog,
        "prog_type": unit.spec.ty.name(),
        "repeat": repeat,
        "retval": run.retval,
        "verdict": names::verdict(unit.spec.ty, run.retval),
        "insns": effects.ran.insns,
        "packet_in": hex(&effects.untouched.data),
        "packet_out": hex(&run.data),
        "context": context,
        "printk": output.printk,
        "redirect": output.redirect.as_ref().map(redirect_text),
        "clones": clones,
        "perf": perf,
        "maps": effects.maps.iter().map(json_map).collect::<Vec<_>>(),
    });
    writeln!(stdout().lock(), "{document:#}")
}

pub(super) fn json_map(change: &MapChange) -> Value {
    let entries: Vec<_> = change
        .entries
        .iter()
        .map(|e| {
            json!({
                "key": hex(&e.key),
                "old": e.old.as_deref().map(hex),
                "new": e.new.as_deref().map(hex),
            })
        })
        .collect();
    let records: Vec<_> = change.records.iter().map(|r| hex(r)).collect();
    json!({ "name": change.spec.name, "entries": entries, "records": records })
}
