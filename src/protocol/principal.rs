//! The principal that Envelope carries, as versioned bytes.

use crate::types::Str;

message! {
    /// The principal of a request that a broker forwards to the controller.
    message DefaultPrincipalData, versions 0..=0, flexible 0..;
    { r#type: Str, name: Str, token_authenticated: bool }
}
