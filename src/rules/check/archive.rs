//! Owns: the checks of `on_local_delete = "archive"` against what the bindings say about archiving.
//!
//! Must not know: the request itself (that is `write`).

use super::binding::Ways;
use super::context::Cx;
use crate::rules::diagnostic::DiagnosticKind;
use crate::rules::grammar::{self, Direction};
use crate::rules::model::OnLocalDelete;
use crate::rules::shape::Key;

/// Checks a collection with its bindings.
pub fn check(collection: &str, raw: &grammar::Collection, cx: &mut Cx<'_>) {
    let archives = raw.on_local_delete.get().filter(|at| at.value == OnLocalDelete::Archive);
    if matches!(raw.on_local_delete, Key::Bad) {
        return;
    }
    let definitions = cx.definitions;
    for ((_, upstream), definition) in definitions.bindings.iter().filter(|((of, _), _)| of == collection) {
        let Some(binding) = definition.value.get() else { continue };
        let ways = Ways::of(binding.direction.or(Direction::Both));
        let given = binding.write.get().and_then(|write| write.archive.get());
        match (archives, given) {
            (Some(at), None) if ways.push && !matches!(binding.write, Key::Bad) => {
                let missing = binding.write.get().is_none_or(|write| write.archive.is_absent());
                if missing {
                    cx.notes
                        .error(
                            DiagnosticKind::Missing,
                            at.span,
                            format!("nothing says how `{upstream}` archives a record"),
                        )
                        .help(format!("write [binding.{collection}.{upstream}.write.archive] with its request"));
                }
            }
            (None, Some(given)) if ways.push => {
                let why = format!("`{collection}` does not archive what is deleted here");
                cx.notes
                    .inert(given.key, "archive", why)
                    .help(format!("write on_local_delete = \"archive\" in [collection.{collection}]"));
            }
            (Some(_), Some(given)) if ways.pull && ways.push && binding.archived.is_absent() => {
                let what = "nothing tells an archived record from another when it is read";
                cx.notes
                    .error(DiagnosticKind::Missing, given.key, what)
                    .help("write archived = '.archived == true' in the binding: else it would come back as a new one");
            }
            (Some(_) | None, Some(_) | None) => {}
        }
    }
}
