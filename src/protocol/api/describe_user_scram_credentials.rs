//! The bytes of DescribeUserScramCredentials. KIP-554.

use crate::types::Str;

api! {
    /// Lists which users have SCRAM credentials, without secrets.
    DescribeUserScramCredentials = 50, versions 0..=0, flexible 0..;

    request DescribeUserScramCredentialsRequest { users: Option<Vec<UserName>> = Some(empty) }

    response DescribeUserScramCredentialsResponse {
        throttle_time_ms: i32,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        results: Vec<DescribeUserScramCredentialsResult>,
    }

    struct UserName { name: Str }

    struct DescribeUserScramCredentialsResult {
        user: Str,
        error_code: i16,
        error_message: Option<Str> = Some(empty),
        credential_infos: Vec<CredentialInfo>,
    }

    struct CredentialInfo { mechanism: i8, iterations: i32 }
}
