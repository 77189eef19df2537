//! Expectations against what happened. Each that does not hold is a line that says both.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use skep_sim::{Output, Redirect, RunInput, RunOutput, Sim};
use skep_spec::tables::ctx;
use skep_spec::{MapType, ProgType, ProgramSpec};

use super::file::{Entry, Expect, Packet};
use super::step::packet_of;
use crate::packet::diff;
use crate::text::encode::encode;
use crate::text::parse::hex_bytes;
use crate::text::{names, value};
use crate::{Error, context, maps};

/// What happened in a step.
pub(super) struct Ran<'a> {
    pub(super) program: &'a ProgramSpec,
    /// The last input.
    pub(super) input: Option<&'a RunInput>,
    /// Its result, or the trap.
    pub(super) result: Option<Result<RunOutput, String>>,
    /// Return values of all runs.
    pub(super) verdicts: BTreeMap<u32, u64>,
    pub(super) output: Output,
}

/// Lines of a packet's difference that are shown.
const MOST_ROWS: usize = 8;

/// What is not as expected.
///
/// # Errors
/// An expectation that cannot hold whatever happens: a map or name that does not exist.
pub(super) fn check(expect: &Expect, ran: &Ran<'_>, sim: &mut Sim) -> Result<Vec<String>, Error> {
    let mut failures = Vec::new();
    match (&expect.trap, &ran.result) {
        (Some(wanted), Some(Err(trap))) if trap.contains(wanted.as_str()) => {}
        (Some(wanted), Some(Err(trap))) => {
            failures.push(format!("trapped with `{trap}`, not `{wanted}`"))
        }
        (Some(wanted), _) => failures.push(format!("returned, not trapped with `{wanted}`")),
        (None, Some(Err(trap))) => failures.push(format!("trapped: {trap}")),
        (None, Some(Ok(output))) => returned(expect, ran, output, &mut failures)?,
        (None, None) => failures.push("nothing ran: the capture holds no packets".to_owned()),
    }
    verdicts(expect, ran, &mut failures)?;
    if let Some(wanted) = &expect.printk
        && *wanted != ran.output.printk
    {
        failures.push(format!("printed {:?}, not {wanted:?}", ran.output.printk));
    }
    if let Some(wanted) = expect.redirect {
        let to = match &ran.output.redirect {
            Some(
                Redirect::Device { ifindex, .. }
                | Redirect::Peer { ifindex }
                | Redirect::Neighbour { ifindex },
            ) => Some(*ifindex),
            Some(Redirect::Map { map, index, .. }) => target(sim, *map, *index),
            None => None,
        };
        if to != Some(wanted) {
            let to = to.map_or("nowhere".to_owned(), |to| format!("to {to}"));
            failures.push(format!("redirected {to}, not to {wanted}"));
        }
    }
    for (name, entries) in &expect.maps {
        entries_of(name, entries, sim, &mut failures)?;
    }
    for (name, records) in &expect.records {
        records_of(name, records, sim, &mut failures)?;
    }
    Ok(failures)
}

/// The device in an entry of a map of devices.
fn target(sim: &mut Sim, map: skep_sim::MapId, index: u64) -> Option<u32> {
    let value = sim.map_lookup(map, &(index as u32).to_le_bytes()).ok()?;
    value.first_chunk().map(|v| u32::from_le_bytes(*v))
}

fn named(ty: ProgType, retval: u32) -> String {
    match names::verdict(ty, retval) {
        name if name.is_empty() => retval.cast_signed().to_string(),
        name => format!("{name} ({})", retval.cast_signed()),
    }
}

/// A return value by name or number.
fn retval_of(ty: ProgType, wanted: &Value) -> Result<u32, Error> {
    let number = match wanted {
        Value::Number(n) => n.as_i64().map(|n| n as u32),
        Value::String(name) => names::value(ty, name),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.ok_or_else(|| {
        let error = Error::new(format!(
            "{wanted} is no return value of a program of type {ty}"
        ));
        match names::all(ty) {
            names if names.is_empty() => error.help("it returns a number"),
            names => error.help(format!("there are {}, and numbers", names.join(", "))),
        }
    })
}

fn returned(
    expect: &Expect,
    ran: &Ran<'_>,
    output: &RunOutput,
    failures: &mut Vec<String>,
) -> Result<(), Error> {
    let ty = ran.program.ty;
    if let Some(wanted) = &expect.retval {
        let wanted = retval_of(ty, wanted).map_err(|e| e.in_place("expect.return"))?;
        if output.retval != wanted {
            failures.push(format!(
                "returned {}, not {}",
                named(ty, output.retval),
                named(ty, wanted)
            ));
        }
    }
    // Of XDP programs the packet begins with its metadata.
    let meta_len = if ty == ProgType::Xdp {
        output
            .ctx
            .first_chunk()
            .map_or(0, |c| u32::from_le_bytes(*c) as usize)
    } else {
        0
    };
    let (meta, data) = output.data.split_at(meta_len.min(output.data.len()));
    if let Some(wanted) = &expect.meta {
        let wanted = hex_bytes(wanted).map_err(|e| Error::of("expect.meta", e))?;
        if wanted != meta {
            failures.push(format!(
                "metadata is `{}`, not `{}`",
                value::hex(meta),
                value::hex(&wanted)
            ));
        }
    }
    if let Some(wanted) = &expect.packet {
        let unchanged = matches!(wanted, Packet::Text(text) if text == "unchanged");
        let wanted = match ran.input {
            Some(input) if unchanged => input.data.clone(),
            Some(_) | None => packet_of(std::path::Path::new(""), ty, wanted, "expect.packet")?,
        };
        if wanted != data {
            failures.push(format!(
                "the packet has {} bytes and is not as expected ({}):",
                data.len(),
                wanted.len()
            ));
            for line in diff::rows(&wanted, data).iter().take(MOST_ROWS) {
                failures.push(format!(
                    "  {} {}",
                    if line.is_new { '+' } else { '-' },
                    line.text()
                ));
            }
        }
    }
    fields(&expect.ctx, ran, output, failures)
}

/// Fields of the context that came back.
fn fields(
    wanted: &Map<String, Value>,
    ran: &Ran<'_>,
    output: &RunOutput,
    failures: &mut Vec<String>,
) -> Result<(), Error> {
    if wanted.is_empty() {
        return Ok(());
    }
    let settings = context::settings(wanted).map_err(|e| e.in_place("expect.ctx"))?;
    for setting in settings {
        let want = context::build(ran.program, std::slice::from_ref(&setting), 0)
            .map_err(|e| e.in_place("expect.ctx"))?;
        let name = setting.split('=').next().unwrap_or_default();
        let plain = name.split('[').next().unwrap_or_default();
        let rows = ctx::of(ran.program.ty).map_or(&[][..], |table| table.fields);
        let Some(field) = rows.iter().find(|f| f.name == plain) else {
            return Err(Error::new(format!(
                "expect.ctx: `{plain}` does not come back"
            )));
        };
        let index = name
            .strip_suffix(']')
            .and_then(|n| n.split_once('['))
            .and_then(|n| n.1.parse::<u32>().ok());
        let from = (field.off + index.unwrap_or(0) * field.width) as usize;
        let range = from..from + field.width as usize;
        let (want, got) = (
            want.as_deref().and_then(|c| c.get(range.clone())),
            output.ctx.get(range),
        );
        if want != got {
            let shown = |bytes: Option<&[u8]>| bytes.map_or("nothing".to_owned(), value::untyped);
            failures.push(format!(
                "context: {name} is {}, not {}",
                shown(got),
                shown(want)
            ));
        }
    }
    Ok(())
}

fn verdicts(expect: &Expect, ran: &Ran<'_>, failures: &mut Vec<String>) -> Result<(), Error> {
    let ty = ran.program.ty;
    for (name, wanted) in &expect.verdicts {
        let number = name
            .parse::<i64>()
            .map_or_else(|_| Value::from(name.as_str()), Value::from);
        let retval = retval_of(ty, &number).map_err(|e| e.in_place("expect.verdicts"))?;
        let got = ran.verdicts.get(&retval).copied().unwrap_or(0);
        if got != *wanted {
            failures.push(format!("{name} was returned {got} times, not {wanted}"));
        }
    }
    Ok(())
}

fn entries_of(
    name: &str,
    entries: &[Entry],
    sim: &mut Sim,
    failures: &mut Vec<String>,
) -> Result<(), Error> {
    let id = maps::find(sim, name, "expect.maps")?;
    let Some(map) = sim.maps().get(id) else {
        return Ok(());
    };
    let (spec, all) = (Arc::clone(map.spec()), map.user_value_size());
    let btf = spec.btf.as_deref();
    for entry in entries {
        let place = format!("expect.maps.{name}");
        let key = maps::encode_key(&spec, entry.key.as_ref())
            .map_err(|e| e.in_place(&place))?
            .bytes;
        let shown = value::text(btf, spec.btf_key_id, &key);
        let got = sim.map_lookup(id, &key).ok();
        let text = |bytes: &[u8]| value::text(btf, spec.btf_value_id, bytes);
        match (&entry.value, got) {
            (None, got) if entry.absent => {
                if let Some(got) = got {
                    failures.push(format!(
                        "map {name}: [{shown}] is {}, not absent",
                        text(&got)
                    ));
                }
            }
            (Some(wanted), Some(got)) if !entry.absent => {
                let wanted =
                    maps::encode_value(&spec, all, wanted).map_err(|e| e.in_place(&place))?;
                if !wanted.matches(&got) {
                    failures.push(format!(
                        "map {name}: [{shown}] is {}, not {}",
                        text(&got),
                        text(&wanted.bytes)
                    ));
                }
            }
            (Some(_), None) if !entry.absent => {
                failures.push(format!("map {name}: [{shown}] is absent"))
            }
            (Some(_) | None, _) => {
                return Err(Error::of(place, "an entry has a value, or absent = true"));
            }
        }
    }
    Ok(())
}

fn records_of(
    name: &str,
    wanted: &[Value],
    sim: &mut Sim,
    failures: &mut Vec<String>,
) -> Result<(), Error> {
    let id = maps::find(sim, name, "expect.records")?;
    let Some(spec) = sim.maps().get(id).map(|m| Arc::clone(m.spec())) else {
        return Ok(());
    };
    if !matches!(spec.ty, MapType::Ringbuf | MapType::Queue | MapType::Stack) {
        return Err(Error::of(
            format_args!("expect.records.{name}"),
            format_args!("a map of type {} has no records", spec.ty),
        ));
    }
    let got = maps::records(sim, id, &spec);
    if got.len() != wanted.len() {
        failures.push(format!(
            "map {name}: {} records, not {}",
            got.len(),
            wanted.len()
        ));
    }
    for (number, (wanted, got)) in wanted.iter().zip(&got).enumerate() {
        let place = format!("expect.records.{name}, record {}", number + 1);
        let btf = spec.btf.as_deref();
        // A ring buffer's records are as long as the program made them.
        let wanted =
            encode(btf, spec.btf_value_id, got.len(), wanted).map_err(|e| Error::of(&place, e))?;
        if !wanted.matches(got) {
            let text = |bytes: &[u8]| value::text(btf, spec.btf_value_id, bytes);
            failures.push(format!(
                "map {name}: record {} is {}, not {}",
                number + 1,
                text(got),
                text(&wanted.bytes)
            ));
        }
    }
    Ok(())
}
