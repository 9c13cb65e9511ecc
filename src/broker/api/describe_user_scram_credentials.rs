//! DescribeUserScramCredentials 0: who has SCRAM credentials, without the secrets (KIP-554).
//!
//! Errors, per user: RESOURCE_NOT_FOUND, DUPLICATE_RESOURCE. Omitted: throttling.

use crate::broker::RequestContext;
use crate::metadata::SecurityImage;
use crate::protocol::api::describe_user_scram_credentials::{
    CredentialInfo, DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    DescribeUserScramCredentialsResult,
};
use crate::types::{ErrorCode, Str};
use std::collections::BTreeMap;

/// Lists credentials; without users those of all.
pub fn handle(
    context: &RequestContext,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let image = context.broker.image();
    let mut asked: BTreeMap<Str, usize> = BTreeMap::new();
    for user in request.users.iter().flatten() {
        *asked.entry(user.name.clone()).or_default() += 1;
    }
    if asked.is_empty() {
        asked.extend(image.security.scram.keys().map(|(_, user)| (user.clone(), 1)));
    }
    let results = asked.into_iter().map(|(user, times)| describe(&image.security, user, times));
    DescribeUserScramCredentialsResponse { results: results.collect(), ..Default::default() }
}

fn describe(security: &SecurityImage, user: Str, times: usize) -> DescribeUserScramCredentialsResult {
    let refuse = |error: ErrorCode, sentence: String| DescribeUserScramCredentialsResult {
        user: user.clone(),
        error_code: error.code(),
        error_message: Some(sentence.into()),
        ..Default::default()
    };
    if times > 1 {
        let what = "Cannot describe SCRAM credentials for the same user twice in a single request";
        return refuse(ErrorCode::DuplicateResource, format!("{what}: {user}"));
    }
    let own = security.scram.iter().filter(|((_, name), _)| *name == user);
    let infos: Vec<_> = own
        .map(|((mechanism, _), record)| CredentialInfo {
            mechanism: *mechanism,
            iterations: record.iterations,
            ..Default::default()
        })
        .collect();
    if infos.is_empty() {
        let sentence = format!("Attempt to describe a user credential that does not exist: {user}");
        return refuse(ErrorCode::ResourceNotFound, sentence);
    }
    let error_message = None;
    DescribeUserScramCredentialsResult { user, error_message, credential_infos: infos, ..Default::default() }
}
