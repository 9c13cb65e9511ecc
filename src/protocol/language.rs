//! The language that messages are declared in. One line a field, in wire order:
//!
//! ```text
//! name: Type = default [versions, tag 0, nullable versions, ignorable],
//! ```
//!
//! - The type says what the bytes are; `Option` is what can be null, `Option<Box<Struct>>` a nullable struct.
//! - The default is that of the type, which for an `Option` is null. `= Some(empty)` makes it an empty value
//!   that is not null.
//! - The brackets are left out where every version carries the field. Versions are a Rust range, `..` is all.
//! - `tag` makes it a tagged field (KIP-482). Tagged fields stand in ascending order of their tags.
//! - `nullable` narrows the versions that know null.
//! - `ignorable`: versions that do not carry the field lose it in silence; of other fields they refuse any
//!   value but the default.
//!
//! Every struct also gets `unknown_tags`, which keeps the tags that this code does not know.
//!
//! The macros know nothing of particular messages. Everything they expand to goes through `wire.rs`.

/// The first flexible version, from `12..` or `none`.
macro_rules! first_flexible {
    (none) => {
        $crate::protocol::wire::NEVER_FLEXIBLE
    };
    ($first:literal) => {
        $first
    };
}

/// A field's default.
macro_rules! default_value {
    ($ty:ty) => {
        <$ty as Default>::default()
    };
    ($ty:ty = Some($empty:ident)) => {
        Some(Default::default())
    };
    ($ty:ty = $default:literal) => {
        $default
    };
}

/// A field's name in errors.
macro_rules! at {
    ($S:ident.$name:ident) => {
        concat!(stringify!($S), ".", stringify!($name))
    };
}

// What follows does one thing to one field each. A field is given as `Struct.name: (Type = default)
// [brackets]`.

/// Reads a field that has no tag; gives tagged fields, and fields of other versions, their default.
macro_rules! read_field {
    ($r:ident, $S:ident.$name:ident: $default:tt []) => {
        match $crate::protocol::wire::Wire::read($r) {
            Ok(value) => value,
            Err(error) => return Err(error.within(at!($S.$name))),
        }
    };
    ($r:ident, $S:ident.$name:ident: $default:tt [$versions:expr, tag $tag:literal $(, ignorable)?]) => {
        default_value! $default
    };
    ($r:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr $(, nullable $nullable:expr)? $(, ignorable)?]) => {
        if $crate::protocol::wire::carries($versions, $r.version) {
            let value = read_field!($r, $S.$name: $default []);
            $(
                if Option::is_none(&value) && !$crate::protocol::wire::carries($nullable, $r.version) {
                    return Err($crate::protocol::error::DecodeProblem::UnexpectedNull.at(at!($S.$name)));
                }
            )?
            value
        } else {
            default_value! $default
        }
    };
}

/// Inside the loop over tags: reads the field if the tag is its own, and goes on with the next tag.
macro_rules! read_tag {
    ($found:ident, $value:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr, tag $tag:literal $(, ignorable)?]) => {
        if $found == $tag && $crate::protocol::wire::carries($versions, $value.version) {
            $name = match $crate::protocol::wire::Wire::read_tagged(&mut $value) {
                Ok(value) => value,
                Err(error) => return Err(error.within(at!($S.$name))),
            };
            $value.end().map_err(|problem| problem.at(at!($S.$name)))?;
            continue;
        }
    };
    ($found:ident, $value:ident, $S:ident.$name:ident: $default:tt [$($other:tt)*]) => {};
}

/// Writes a field that has no tag, or checks that nothing is lost where the version does not carry it.
macro_rules! write_field {
    ($w:ident, $this:ident, $S:ident.$name:ident: $default:tt []) => {
        $crate::protocol::wire::Wire::write(&$this.$name, $w)
    };
    ($w:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr, tag $tag:literal $(, ignorable)?]) => {};
    ($w:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr $(, nullable $nullable:expr)?]) => {
        write_field!($w, $this, $S.$name: $default [$versions $(, nullable $nullable)?, ignorable]);
        check_carried!($w, $this, $S.$name: $default $versions);
    };
    ($w:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr $(, nullable $nullable:expr)?, ignorable]) => {
        if $crate::protocol::wire::carries($versions, $w.version) {
            $(
                if Option::is_none(&$this.$name) && !$crate::protocol::wire::carries($nullable, $w.version) {
                    $w.fail($crate::protocol::error::EncodeProblem::UnexpectedNull, at!($S.$name));
                }
            )?
            $crate::protocol::wire::Wire::write(&$this.$name, $w);
        }
    };
}

/// An error if the version does not carry the field and it is set.
macro_rules! check_carried {
    ($w:ident, $this:ident, $S:ident.$name:ident: $default:tt $versions:expr) => {
        if !$crate::protocol::wire::carries($versions, $w.version) && $this.$name != default_value! $default {
            $w.fail($crate::protocol::error::EncodeProblem::NotCarried, at!($S.$name));
        }
    };
}

/// Counts a tagged field that will be written, or checks that nothing is lost.
macro_rules! count_tag {
    ($count:ident, $w:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr, tag $tag:literal]) => {
        count_tag!($count, $w, $this, $S.$name: $default [$versions, tag $tag, ignorable]);
        check_carried!($w, $this, $S.$name: $default $versions);
    };
    ($count:ident, $w:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr, tag $tag:literal, ignorable]) => {
        if $crate::protocol::wire::carries($versions, $w.version) && $this.$name != default_value! $default {
            $count += 1;
        }
    };
    ($count:ident, $w:ident, $this:ident, $S:ident.$name:ident: $default:tt [$($other:tt)*]) => {};
}

/// Writes a tagged field that is not its default.
macro_rules! write_tag {
    ($tags:ident, $w:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr, tag $tag:literal $(, ignorable)?]) => {
        if $crate::protocol::wire::carries($versions, $w.version) && $this.$name != default_value! $default {
            $tags.known($w, $tag, &$this.$name, at!($S.$name));
        }
    };
    ($tags:ident, $w:ident, $this:ident, $S:ident.$name:ident: $default:tt [$($other:tt)*]) => {};
}

/// Adds a field to a JSON object.
macro_rules! json_field {
    ($object:ident, $version:ident, $this:ident, $S:ident.$name:ident: $default:tt []) => {
        $crate::protocol::json::put(
            &mut $object,
            stringify!($name),
            $crate::protocol::json::ToJson::to_json(&$this.$name, $version),
        )
    };
    ($object:ident, $version:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr, tag $tag:literal $(, ignorable)?]) => {
        if $crate::protocol::wire::carries($versions, $version) && $this.$name != default_value! $default {
            json_field!($object, $version, $this, $S.$name: $default []);
        }
    };
    ($object:ident, $version:ident, $this:ident, $S:ident.$name:ident: $default:tt
     [$versions:expr $(, nullable $nullable:expr)? $(, ignorable)?]) => {
        if $crate::protocol::wire::carries($versions, $version) {
            json_field!($object, $version, $this, $S.$name: $default []);
        }
    };
}

/// Declares structs that messages are made of.
macro_rules! structs {
    ($( $(#[$meta:meta])* struct $S:ident { $(
        $(#[$doc:meta])*
        $name:ident: $ty:ty $(= $default:literal)? $(= Some($empty:ident))? $([ $($when:tt)* ])?
    ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $S {
            $( $(#[$doc])* pub $name: $ty, )*
            /// Tagged fields that this code does not know.
            pub unknown_tags: $crate::protocol::wire::Tags,
        }

        fields! {
            $S { $( $name: $ty, ($ty $(= $default)? $(= Some($empty))?) [$($($when)*)?], )* }
        }
    )* };
}

/// What a struct can do, from its fields in the form that the macros above take.
macro_rules! fields {
    ($S:ident { $( $name:ident: $ty:ty, $default:tt $when:tt, )* }) => {
        impl Default for $S {
            fn default() -> Self {
                Self { $( $name: default_value! $default, )* unknown_tags: Default::default() }
            }
        }

        impl $crate::protocol::wire::Wire for $S {
            fn read(
                r: &mut $crate::protocol::reader::Reader<'_>,
            ) -> Result<Self, $crate::protocol::error::DecodeError> {
                $(
                    #[allow(unused_mut)]
                    let mut $name: $ty = read_field!(r, $S.$name: $default $when);
                )*
                let mut unknown_tags = $crate::protocol::wire::Tags::default();
                if r.flexible {
                    let count = r.uvarint().map_err(|problem| problem.at(stringify!($S)))?;
                    let mut last = None;
                    for _ in 0..count {
                        #[allow(unused_mut)]
                        let (tag, mut value) =
                            r.tag(&mut last).map_err(|problem| problem.at(stringify!($S)))?;
                        $( read_tag!(tag, value, $S.$name: $default $when); )*
                        unknown_tags.push(tag, value.rest());
                    }
                }
                Ok(Self { $( $name, )* unknown_tags })
            }

            fn write(&self, w: &mut $crate::protocol::writer::Writer) {
                $( write_field!(w, self, $S.$name: $default $when); )*
                #[allow(unused_mut)]
                let mut known = 0;
                $( count_tag!(known, w, self, $S.$name: $default $when); )*
                if w.flexible {
                    #[allow(unused_mut)]
                    let mut tags = $crate::protocol::wire::TagWriter::begin(w, known, &self.unknown_tags);
                    $( write_tag!(tags, w, self, $S.$name: $default $when); )*
                    tags.end(w);
                } else if !self.unknown_tags.is_empty() {
                    let problem = $crate::protocol::error::EncodeProblem::NotCarried;
                    w.fail(problem, at!($S.unknown_tags));
                }
            }
        }

        impl $crate::protocol::json::ToJson for $S {
            #[allow(unused_mut, unused_variables)]
            fn to_json(&self, version: i16) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $( json_field!(object, version, self, $S.$name: $default $when); )*
                serde_json::Value::Object(object)
            }
        }
    };
}

/// Declares one message and the structs it is made of.
macro_rules! message {
    (
        $(#[$meta:meta])*
        message $M:ident, versions $versions:expr, flexible $flexible:tt $(..)?; { $($fields:tt)* }
        $($structs:tt)*
    ) => {
        impl $crate::protocol::wire::Message for $M {
            const NAME: &'static str = stringify!($M);
            const VERSIONS: std::ops::RangeInclusive<i16> = $versions;
            const FIRST_FLEXIBLE: i16 = first_flexible!($flexible);
        }

        structs! { $(#[$meta])* struct $M { $($fields)* } $($structs)* }
    };
}

/// Declares one API: its key, versions, request and response, and the structs they are made of.
macro_rules! api {
    (
        $(#[$meta:meta])*
        $Api:ident = $key:literal, versions $versions:expr, flexible $flexible:tt $(..)?;
        request $Request:ident { $($request:tt)* }
        response $Response:ident { $($response:tt)* }
        $($structs:tt)*
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Api {}

        impl $crate::protocol::api::Api for $Api {
            const CODE: i16 = $key;
            const KEY: $crate::protocol::api::ApiKey = $crate::protocol::api::ApiKey::$Api;
            type Request = $Request;
            type Response = $Response;
        }

        message! {
            #[doc = concat!("The request of [`", stringify!($Api), "`].")]
            message $Request, versions $versions, flexible $flexible; { $($request)* }
        }
        message! {
            #[doc = concat!("The response of [`", stringify!($Api), "`].")]
            message $Response, versions $versions, flexible $flexible; { $($response)* }
            $($structs)*
        }
    };
}
