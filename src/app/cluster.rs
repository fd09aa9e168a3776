//! Joining the other engines: under which number, reached where, with which secret.
//! Always holds: it has joined before its core is made, so that the core's number is its own.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::ids::GroupId;

use super::AppError;
use super::storage::Storage;
use crate::config::{Secret, Settings};
use crate::membership::contract::{EngineId, Introduction};
use crate::membership::peers::Peers;
use crate::services::driver::DriverPart;

/// What an engine has once it has joined.
pub(super) struct Joined {
    pub(super) me: EngineId,
    /// Who drives what at first: an engine that is alone everything, another one nothing.
    pub(super) drivers: Vec<Option<EngineId>>,
    pub(super) part: DriverPart,
}

/// Joins, as an engine that listens here.
pub(super) async fn join(
    settings: &Settings,
    storage: &Storage,
    listens: SocketAddr,
) -> Result<Joined, AppError> {
    let membership = Arc::clone(&storage.membership);
    let secret = settings.cluster.secret().cloned().unwrap_or_else(|| Secret::new(""));
    let (told, peers) = Peers::new(secret);
    let introduction = Introduction {
        name: settings.cluster.name.clone(),
        address: settings.cluster.address(listens),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        public_key: peers.key().public().to_owned(),
    };
    if !storage.alone && !settings.cluster.is_reachable(listens) {
        let address = &introduction.address;
        tracing::warn!(%address, "other engines cannot reach this one there: set cluster.advertise_address");
    }
    let me = membership.join(&introduction).await?;
    let drivers: Vec<_> = GroupId::all().map(|_| storage.alone.then_some(me)).collect();
    let part = DriverPart {
        membership,
        introduction,
        joined_as: me,
        told,
        peers,
        drivers: drivers.clone(),
    };
    Ok(Joined { me, drivers, part })
}
