//! Owns: the checks of `on_local_delete` against what the bindings say about deleting and archiving.
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
    if matches!(raw.on_local_delete, Key::Bad) {
        return;
    }
    check_archives(collection, raw, cx);
    check_deletes(collection, raw, cx);
}

/// A delete that goes nowhere is worth a look, unless the rules say that it is to stay there.
fn check_deletes(collection: &str, raw: &grammar::Collection, cx: &mut Cx<'_>) {
    match raw.on_local_delete.get().map(|at| at.value) {
        None | Some(OnLocalDelete::Propagate | OnLocalDelete::Queue) => {}
        Some(OnLocalDelete::Detach) => return check_stays(collection, cx),
        Some(OnLocalDelete::Archive | OnLocalDelete::Restore) => return,
    }
    let definitions = cx.definitions;
    for ((_, upstream), definition) in definitions.bindings.iter().filter(|((of, _), _)| of == collection) {
        let Some(binding) = definition.value.get() else { continue };
        let Some(write) = binding.write.get().filter(|write| write.delete.is_absent()) else { continue };
        if !Ways::of(binding.direction.or(Direction::Both)).push || matches!(binding.direction, Key::Bad) {
            continue;
        }
        let message = format!("what is deleted here stays at `{upstream}`: nothing says how it is deleted there");
        cx.notes.warning(write.key, message).help(format!(
            "write [binding.{collection}.{upstream}.write.delete] with its request, or delete = \"none\" in \
             [binding.{collection}.{upstream}.write] where it shall stay there"
        ));
    }
}

/// Where nothing that is deleted here is deleted elsewhere, a word about one upstream says nothing.
fn check_stays(collection: &str, cx: &mut Cx<'_>) {
    let definitions = cx.definitions;
    for ((_, upstream), definition) in definitions.bindings.iter().filter(|((of, _), _)| of == collection) {
        let write = definition.value.get().and_then(|binding| binding.write.get());
        let none =
            |write: &grammar::Write| write.delete.get().filter(|_| write.delete_table().is_none()).map(|at| at.key);
        if let Some(key) = write.and_then(|write| none(&write.value)) {
            let message = format!(
                "`delete` has no effect: what is deleted here stays at `{upstream}` by on_local_delete = \"detach\" already"
            );
            cx.notes.warning(key, message).help("leave it out");
        }
    }
}

fn check_archives(collection: &str, raw: &grammar::Collection, cx: &mut Cx<'_>) {
    let archives = raw.on_local_delete.get().filter(|at| at.value == OnLocalDelete::Archive);
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
