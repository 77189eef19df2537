//! Arguments of traced functions, as people write them: names and values, objects for structures.

use serde_json::{Map, Value};
use skep_sim::{FieldValue, ObjectError, RunInput, Sim};
use skep_spec::{ProgType, ProgramSpec};

use crate::Error;
use crate::text::parse::number;

/// Reads `NAME=VALUE`, the value as JSON where it is some.
///
/// # Errors
/// A setting without a name, or JSON that is none.
pub fn read(text: &str) -> Result<(String, Value), Error> {
    let usage = "write it like flags=3 or task={\"pid\": 42, \"comm\": \"bash\"}";
    let pair = text.split_once('=').filter(|pair| !pair.0.is_empty());
    let (name, value) = pair.ok_or_else(|| Error::new(format!("`{text}`")).help(usage))?;
    let value = if value.starts_with(['{', '[', '"']) {
        serde_json::from_str(value).map_err(|e| Error::of(name, e).help(usage))?
    } else {
        Value::String(value.to_owned())
    };
    Ok((name.to_owned(), value))
}

/// The input of a program that runs at a kernel function, by the types of its arguments; `None` for
/// programs of other types, and where nobody asked and the types are not known.
///
/// # Errors
/// An argument or field that does not exist, or a value that does not fit; no types.
pub fn input(
    sim: &mut Sim,
    program: &ProgramSpec,
    args: &Map<String, Value>,
) -> Result<Option<RunInput>, Error> {
    let is_typed = matches!(
        program.ty,
        ProgType::Tracing | ProgType::Lsm | ProgType::StructOps
    );
    if !is_typed && args.is_empty() {
        return Ok(None);
    }
    let mut fields = Vec::new();
    for (name, value) in args {
        fields.push((name.clone(), field(value).map_err(|e| e.in_place(name))?));
    }
    match sim.trace_input(program, &fields) {
        Ok(input) => Ok(Some(input)),
        Err(ObjectError::NoTypes | ObjectError::NoTarget(_)) if args.is_empty() => Ok(None),
        Err(error) => {
            let text = Error::new(error.to_string());
            Err(match error {
                ObjectError::NoTypes => text.help("--btf FILE gives the kernel's types"),
                ObjectError::NoField { names, .. } => {
                    text.help(format!("there are {}", names.join(", ")))
                }
                ObjectError::NoTarget(_)
                | ObjectError::Shape { .. }
                | ObjectError::Types(_)
                | ObjectError::Full => text,
            })
        }
    }
}

fn field(value: &Value) -> Result<FieldValue, Error> {
    Ok(match value {
        Value::Bool(is) => FieldValue::Number((*is).into()),
        Value::Number(n) => {
            let bits = n.as_u64().or_else(|| n.as_i64().map(i64::cast_unsigned));
            FieldValue::Number(bits.ok_or_else(|| Error::new(format!("{n} is no integer")))?)
        }
        Value::String(text) => match number(text) {
            Some(number) => FieldValue::Number(number),
            None => FieldValue::Text(text.clone()),
        },
        Value::Array(items) => FieldValue::List(items.iter().map(field).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let mut fields = Vec::new();
            for (name, value) in members {
                fields.push((name.clone(), field(value).map_err(|e| e.in_place(name))?));
            }
            FieldValue::Object(fields)
        }
        Value::Null => return Err(Error::new("null is no value")),
    })
}
