//! Assembly text: assembled in passing, its mistakes drawn on their lines.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use skep_asm::{AsmError, AsmErrors, Options, assemble};
use skep_spec::ObjectSpec;

use crate::failure::Failure;
use crate::kernels::Kernel;

/// Assembles a text; `file` is its name in errors and in line information.
///
/// # Errors
/// Its mistakes, drawn.
pub(crate) fn assemble_text(
    file: &str,
    bytes: Vec<u8>,
    debug_info: bool,
    kernel: &Kernel,
) -> Result<ObjectSpec, Failure> {
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::of(file, format_args!("no text: byte {at:#x} is not UTF-8"))
    })?;
    let options = Options {
        file_name: file.to_owned(),
        debug_info,
        kernel_btf: kernel.facts.btf().cloned(),
        ..Options::default()
    };
    let object = assemble(&text, &options)
        .map_err(|errors| Failure::of(file, &errors).drawn(draw(file, &text, &errors)))?;
    if object.programs.is_empty() {
        return Err(Failure::of(file, "there is no program in it")
            .help("begin one with `.prog NAME TYPE`, such as `.prog pass xdp`"));
    }
    Ok(object)
}

fn draw(file: &str, text: &str, errors: &AsmErrors) -> String {
    let draw_one = |error: &AsmError| {
        let group = Level::ERROR.primary_title(error.message.as_str()).element(
            Snippet::source(text)
                .path(file)
                .annotation(AnnotationKind::Primary.span(span(text, error))),
        );
        Renderer::styled().render(&[group])
    };
    let all = errors.errors();
    let mut drawings: Vec<_> = all.iter().take(MOST_DRAWN).map(draw_one).collect();
    if all.len() > MOST_DRAWN {
        drawings.push(format!("error: {} more mistakes", all.len() - MOST_DRAWN));
    }
    drawings.join("\n\n")
}

/// Mistakes that are drawn; the first ones often cause the rest.
const MOST_DRAWN: usize = 5;

/// The bytes of the text that are at fault.
fn span(text: &str, error: &AsmError) -> Range<usize> {
    let line_number = (error.line as usize).saturating_sub(1);
    let Some(line) = text.split_inclusive('\n').nth(line_number) else {
        return text.len()..text.len();
    };
    let line_start = line.as_ptr().addr() - text.as_ptr().addr();
    let column = (error.column as usize).saturating_sub(1);
    let byte = |chars: usize| {
        let at = line.char_indices().nth(chars).map(|(at, _)| at);
        line_start + at.unwrap_or(line.trim_end().len())
    };
    byte(column)..byte(column + error.length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_found_by_characters() {
        let text = "r0 = 0\n  ä = r1\nexit";
        let error = |line, column, length| AsmError {
            line,
            column,
            length,
            message: String::new(),
        };
        assert_eq!(span(text, &error(2, 3, 1)), 9..11);
        assert_eq!(span(text, &error(3, 1, 4)), 17..21);
        assert_eq!(span(text, &error(3, 4, 9)), 20..21);
        assert_eq!(span(text, &error(9, 1, 1)), 21..21);
    }
}
