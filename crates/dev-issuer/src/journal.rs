//! What was asked and what came of it. No code, token, secret, state or nonce ever gets in here.

use crate::fault::Endpoint;
use serde::{Deserialize, Serialize};

/// Most entries kept; the oldest go first.
const KEPT: usize = 10_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3, … in the order of arrival.
    pub number: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// Where it went.
    pub endpoint: Endpoint,
    /// `grant_type`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// `client_id`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `scope`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Each `resource` and `audience`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    /// `ok`, `form` (the sign-in form was shown), `unanswered`, or the error word.
    pub result: String,
    /// Kind of the transport fault that spoilt the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// How often something happened; faults count only where the request took effect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests for the metadata.
    pub discovery: u64,
    /// Requests for the keys.
    pub jwks: u64,
    /// Requests to the authorization endpoint, forms sent included.
    pub authorize: u64,
    /// Authorization codes given.
    pub codes: u64,
    /// Codes redeemed.
    pub redemptions: u64,
    /// Codes shown a second time.
    pub code_reuses: u64,
    /// Requests to the token endpoint.
    pub token: u64,
    /// Refreshes that gave tokens.
    pub refreshes: u64,
    /// Refresh tokens shown after they were rotated.
    pub reuses: u64,
    /// Requests to the revocation endpoint.
    pub revocation: u64,
    /// Requests to the userinfo endpoint.
    pub userinfo: u64,
    /// Requests to the device authorization endpoint.
    #[serde(default)]
    pub device: u64,
    /// Requests spoilt by a fault of the transport.
    pub faults: u64,
}

/// Everything since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Requests, oldest first; at most 10 000.
    pub requests: Vec<Entry>,
    /// How often what happened.
    pub counters: Counters,
}

impl Journal {
    /// Begins an entry with the number that is due and counts the endpoint.
    pub(crate) fn arrive(&mut self, entry: Entry) -> u64 {
        let counters = &mut self.counters;
        *match entry.endpoint {
            Endpoint::Discovery => &mut counters.discovery,
            Endpoint::Jwks => &mut counters.jwks,
            Endpoint::Authorize => &mut counters.authorize,
            Endpoint::Token => &mut counters.token,
            Endpoint::Revocation => &mut counters.revocation,
            Endpoint::Userinfo => &mut counters.userinfo,
            Endpoint::Device => &mut counters.device,
        } += 1;
        let number = self.requests.last().map_or(0, |last| last.number) + 1;
        if self.requests.len() >= KEPT {
            self.requests.remove(0);
        }
        self.requests.push(Entry { number, ..entry });
        number
    }

    /// Notes what came of request `number`.
    pub(crate) fn settle(&mut self, number: u64, result: &str, fault: Option<&str>) {
        if let Some(fault) = fault {
            self.counters.faults += 1;
            if let Some(entry) = self.entry(number) {
                entry.fault = Some(fault.to_owned());
            }
        }
        if let Some(entry) = self.entry(number) {
            result.clone_into(&mut entry.result);
        }
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        self.requests.iter_mut().rev().find(|entry| entry.number == number)
    }
}
