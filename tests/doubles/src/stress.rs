//! The start/stop stress that every service must pass: started and drained from many sides at once, over and over.
//! Uses the clock it is given; nothing here sleeps.

use std::time::Duration;

use futures_util::future::join_all;

use orrery::config::ServicesSettings;
use orrery::environment::Surroundings;
use orrery::services::lifecycle::{HostBuilder, HostError, ServiceHost, ServiceState};

/// Callers that start or drain at once, as many as ten hands on one switch.
const CALLERS: usize = 10;

/// What the stress found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StressError {
    /// The services cannot be hosted at all.
    #[error(transparent)]
    ServiceHost(#[from] HostError),
    /// After a drain a service was neither stopped nor anything near it.
    #[error("round {round}: {service} was {state} after its drain ({reasons})")]
    NotStopped {
        /// Which round, from 0.
        round: usize,
        service: &'static str,
        /// Where it was.
        state: ServiceState,
        /// What it said.
        reasons: String,
    },
    /// A tick ran after the drain had returned.
    #[error("round {round}: tick {tick} of {service} ran after the drain")]
    TickAfterDrain {
        /// Which round, from 0.
        round: usize,
        service: &'static str,
        tick: &'static str,
    },
}

/// Hosts the services that `make` adds, `rounds` times. In each round ten callers start and drain the host at once,
/// beginning with another one each time; in every second round the host is up before they begin. `make` may add
/// the same services each time: then it also shows that they can be started again after their drain.
pub async fn start_and_stop(
    rounds: usize,
    settings: &ServicesSettings,
    outside: &Surroundings,
    make: impl Fn(HostBuilder) -> HostBuilder,
) -> Result<(), StressError> {
    for round in 0..rounds {
        let host = make(ServiceHost::builder()).build(settings.clone(), outside.clone())?;
        if round % 2 == 1 {
            host.start().await;
        }
        join_all((0..CALLERS).map(|caller| {
            let host = &host;
            async move {
                if (caller + round).is_multiple_of(2) {
                    host.start().await;
                } else {
                    host.drain(Duration::from_secs(5)).await;
                }
            }
        }))
        .await;
        host.drain(Duration::from_secs(5)).await;
        check(round, &host).await?;
    }
    Ok(())
}

async fn check(round: usize, host: &ServiceHost) -> Result<(), StressError> {
    let drained = host.snapshot();
    for service in &drained {
        if service.state != ServiceState::Stopped {
            let (service, state, reasons) =
                (service.name, service.state, service.reasons.join("; "));
            return Err(StressError::NotStopped { round, service, state, reasons });
        }
    }
    // Whatever might still run gets its turn now.
    for _ in 0..CALLERS {
        tokio::task::yield_now().await;
    }
    for (before, after) in drained.iter().zip(host.snapshot()) {
        for (tick, later) in before.ticks.iter().zip(after.ticks) {
            if tick.runs != later.runs {
                return Err(StressError::TickAfterDrain {
                    round,
                    service: before.name,
                    tick: tick.name,
                });
            }
        }
    }
    Ok(())
}
