//! The bytes of AlterUserScramCredentials. KIP-554.

use crate::types::Str;
use bytes::Bytes;

api! {
    /// Sets and deletes SCRAM credentials.
    AlterUserScramCredentials = 51, versions 0..=0, flexible 0..;

    request AlterUserScramCredentialsRequest {
        deletions: Vec<ScramCredentialDeletion>,
        upsertions: Vec<ScramCredentialUpsertion>,
    }

    response AlterUserScramCredentialsResponse {
        throttle_time_ms: i32,
        results: Vec<AlterUserScramCredentialsResult>,
    }

    struct ScramCredentialDeletion { name: Str, mechanism: i8 }

    struct ScramCredentialUpsertion {
        name: Str,
        mechanism: i8,
        iterations: i32,
        salt: Bytes,
        salted_password: Bytes,
    }

    struct AlterUserScramCredentialsResult {
        user: Str,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
    }
}
