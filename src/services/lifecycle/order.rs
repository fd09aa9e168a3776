//! In which order services start: each after those it needs eagerly. The drain goes the other way.
//! Always holds: the order depends on names and needs only; a cycle is reported as a path. A lazy need orders
//! nothing, so two services may need each other that way.

use super::HostError;
use super::service::Need;

/// The positions of `services` (name, needs) in an order that suits every eager need.
pub(super) fn start_order(services: &[(&'static str, Vec<Need>)]) -> Result<Vec<usize>, HostError> {
    let position = |name: &str| services.iter().position(|(other, _)| *other == name);
    let mut waits_for = Vec::with_capacity(services.len());
    for (index, (name, needs)) in services.iter().enumerate() {
        if position(name) != Some(index) {
            return Err(HostError::Twice { name });
        }
        let mut eager = Vec::new();
        for need in needs {
            match position(need.service) {
                Some(other) if need.eager => eager.push(other),
                None if need.required => {
                    return Err(HostError::Missing { name, needs: need.service });
                }
                Some(_) | None => {}
            }
        }
        waits_for.push(eager);
    }
    // Take, over and over, the first service that waits for nobody left; ends after as many rounds as services.
    let mut order: Vec<usize> = Vec::with_capacity(services.len());
    while order.len() < services.len() {
        let free = (0..services.len()).find(|index| {
            !order.contains(index)
                && waits_for
                    .get(*index)
                    .is_some_and(|waits| waits.iter().all(|other| order.contains(other)))
        });
        match free {
            Some(index) => order.push(index),
            None => return Err(HostError::Cycle { path: cycle(services, &waits_for, &order) }),
        }
    }
    Ok(order)
}

/// A cycle among those that are left: follow what each waits for until a service comes round again.
fn cycle(
    services: &[(&'static str, Vec<Need>)],
    waits_for: &[Vec<usize>],
    placed: &[usize],
) -> String {
    let name = |index: usize| services.get(index).map_or("?", |(name, _)| *name);
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..services.len()).find(|index| !placed.contains(index));
    while let Some(index) = at {
        if let Some(begin) = path.iter().position(|seen| *seen == index) {
            let round = path.iter().skip(begin).chain([&index]);
            return round.map(|index| name(*index)).collect::<Vec<_>>().join(" -> ");
        }
        path.push(index);
        at = waits_for
            .get(index)
            .and_then(|waits| waits.iter().find(|other| !placed.contains(other)).copied());
    }
    // Not reached: whoever is left waits for somebody left.
    path.iter().map(|index| name(*index)).collect::<Vec<_>>().join(" -> ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn on(service: &'static str) -> Need {
        Need::required(service, Duration::from_secs(1))
    }

    #[test]
    fn each_service_starts_after_those_it_needs() {
        let services =
            [("c", vec![on("b"), on("a")]), ("b", vec![on("a")]), ("a", vec![]), ("d", vec![])];
        assert_eq!(start_order(&services).ok(), Some(vec![2, 1, 0, 3]));
    }

    #[test]
    fn a_cycle_is_named_as_a_path() {
        let services = [
            ("x", vec![on("a")]),
            ("a", vec![on("b")]),
            ("b", vec![on("c")]),
            ("c", vec![on("a")]),
        ];
        let error = start_order(&services).err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some("services need each other in a circle: a -> b -> c -> a")
        );
    }

    #[test]
    fn a_lazy_need_may_close_a_circle() {
        let services = [("a", vec![on("b").lazy()]), ("b", vec![on("a")])];
        assert_eq!(start_order(&services).ok(), Some(vec![0, 1]));
    }

    #[test]
    fn a_missing_service_is_refused_only_when_it_is_required() {
        assert!(matches!(start_order(&[("a", vec![on("b")])]), Err(HostError::Missing { .. })));
        let optional = Need::optional("b", Duration::from_secs(1));
        assert_eq!(start_order(&[("a", vec![optional])]).ok(), Some(vec![0]));
        assert!(matches!(
            start_order(&[("a", vec![]), ("a", vec![])]),
            Err(HostError::Twice { .. })
        ));
    }
}
