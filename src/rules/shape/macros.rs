//! Owns: the declarations that give a struct, its reader and its schema in one.
//!
//! Must not know: which keys there are.

/// Declares a table: the struct with spans, its reader and its schema. `= required` marks keys that must be there;
/// `later` names keys of the language that are refused as not supported yet.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $name:ident, $wanted:literal {
            $( $(#[doc = $about:literal])+ $key:ident : $ty:ty $(= $required:ident)? ),* $(,)?
        }
        $( later { $( $late:literal : $why:literal ),* $(,)? } )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $( $(#[doc = $about])+ pub $key: $crate::rules::shape::Key<$ty>, )*
        }

        impl $name {
            /// Every key that is accepted.
            pub const KEYS: &[&str] = &[$( $crate::rules::shape::plain_name(stringify!($key)), )*];
            /// Keys of the language that are refused as not supported yet, with the reason.
            pub const LATER: &[(&str, &str)] = &[$($( ($late, $why), )*)?];

            pub(in crate::rules) fn read_skipping(
                node: $crate::rules::shape::Node<'_>,
                tag: Option<$crate::rules::shape::Tag<'_>>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                let reader = &mut $crate::rules::shape::Reader::open(
                    node,
                    <Self as $crate::rules::shape::Shape>::WANTED,
                    Self::KEYS,
                    Self::LATER,
                    $crate::rules::grammar::home_of,
                    tag,
                    notes,
                )?;
                // A table may have no keys.
                let _ = &reader;
                Some(Self {
                    $( $key: reader.take(
                        $crate::rules::shape::plain_name(stringify!($key)),
                        $crate::rules::shape::table!(@required $($required)?),
                        $crate::rules::grammar::example($crate::rules::shape::plain_name(stringify!($key))),
                        notes,
                    ), )*
                })
            }
        }

        impl $crate::rules::shape::Shape for $name {
            const WANTED: &'static str = $wanted;

            fn read(
                node: $crate::rules::shape::Node<'_>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                Self::read_skipping(node, None, notes)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let _ = &generator;
                $crate::rules::shape::object_schema(
                    &$crate::rules::shape::description(&[$($doc),+]),
                    vec![$( (
                        $crate::rules::shape::plain_name(stringify!($key)),
                        generator.subschema_for::<$ty>(),
                        $crate::rules::shape::description(&[$($about),+]),
                        $crate::rules::shape::table!(@required $($required)?),
                    ), )*],
                )
            }
        }
    };
    (@required) => { false };
    (@required required) => { true };
    (@bare $kind:literal) => { "" };
    (@bare $kind:literal bare) => { $kind };
}

/// Declares a table whose `kind` says which keys it takes. A kind without required keys may be written as its bare word.
macro_rules! kinds {
    (
        $(#[doc = $doc:literal])+
        $(#[expect($($lint:tt)+)])?
        $name:ident, $wanted:literal {
            $( $(#[doc = $about:literal])+ $kind:literal => $variant:ident($ty:ty) $(= $bare:ident)? ),* $(,)?
        }
        $( later { $( $late:literal : $why:literal ),* $(,)? } )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        $(#[expect($($lint)+)])?
        pub enum $name {
            $( $(#[doc = $about])+ $variant($ty), )*
        }

        impl $name {
            const WORDS: &[&str] = &[$($kind),*];
            const LATER: &[(&str, &str)] = &[$($( ($late, $why), )*)?];
        }

        impl $crate::rules::shape::Shape for $name {
            const WANTED: &'static str = $wanted;

            fn read(
                node: $crate::rules::shape::Node<'_>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                let all: &[(&str, &[&str])] = &[$( ($kind, <$ty>::KEYS), )*];
                let bare: &[&str] = &[$( $crate::rules::shape::table!(@bare $kind $($bare)?), )*];
                let (kind, whole) = $crate::rules::shape::read_kind(node, Self::WANTED, Self::WORDS, Self::LATER, (all, bare), notes)?;
                match kind {
                    $( $kind if whole => Some(Self::$variant(<$ty>::default())), )*
                    $( $kind => <$ty>::read_skipping(node, Some($crate::rules::shape::Tag { kind: $kind, all }), notes).map(Self::$variant), )*
                    _ => None,
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let bare: Vec<&str> = [$( $crate::rules::shape::table!(@bare $kind $($bare)?), )*].into_iter().filter(|word| !word.is_empty()).collect();
                let mut all = vec![$(
                    $crate::rules::shape::tagged(
                        <$ty as schemars::JsonSchema>::json_schema(generator),
                        $kind,
                        &$crate::rules::shape::description(&[$($about),+]),
                    ),
                )*];
                if !bare.is_empty() {
                    all.push(schemars::json_schema!({ "enum": bare }));
                }
                let mut schema = $crate::rules::shape::any_of(all);
                schema.insert("description".to_owned(), $crate::rules::shape::description(&[$($doc),+]).into());
                schema
            }
        }
    };
}

/// Declares how a closed list of words is read into an existing type.
macro_rules! words {
    ($name:ty, $schema:literal, $wanted:literal { $( $word:literal => $value:expr ),* $(,)? }
     $( later { $( $late:literal : $why:literal ),* $(,)? } )?
    ) => {
        impl $crate::rules::shape::Shape for $name {
            const WANTED: &'static str = $wanted;

            fn read(
                node: $crate::rules::shape::Node<'_>,
                notes: &mut $crate::rules::diagnostic::Notes<'_>,
            ) -> Option<Self> {
                let later: &[(&str, &str)] = &[$($( ($late, $why), )*)?];
                match $crate::rules::shape::read_word(node, Self::WANTED, &[$($word),*], later, notes)? {
                    $( $word => Some($value), )*
                    _ => None,
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "enum": [$($word),*] })
            }
        }
    };
}

pub(in crate::rules) use {kinds, table, words};
