//! Who counts false alarms: a controller of the fleet and one per service, for each budget
//! (METHODS 2.8).

use super::Engine;
use super::detect::budget::{Gear, Servo, Turned};

/// What a controller counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Counted {
    /// An incident that opened.
    Notice,
    /// One that began to interrupt.
    Alert,
}

impl Engine {
    /// Notices and alerts a week that the whole fleet may have: of the services that are judged.
    pub(super) fn accepted(&self) -> (f64, f64) {
        let services = self.state.services.values();
        let fleet = services.filter(|service| service.calibration.is_some()).count() as f64;
        let budget = &self.rules.budget;
        (fleet * budget.notices_per_week, fleet * budget.alerts_per_week)
    }

    /// Counts an alarm on the fleet's controller and on the service's own.
    pub(super) fn count(&mut self, service: &str, what: Counted) -> Turned {
        let (fleet, gear, own) = self.controllers(service, what);
        Turned { fleet: fleet.alarm(gear), own: own.map_or(0.0, |own| own.alarm(Gear::SERVICE)) }
    }

    /// Takes it off both again: users feel it, so it was no false alarm.
    pub(super) fn absolve(&mut self, service: &str, what: Counted, turned: Turned) {
        let (fleet, gear, own) = self.controllers(service, what);
        fleet.absolve(gear, turned.fleet);
        if let Some(own) = own {
            own.absolve(Gear::SERVICE, turned.own);
        }
    }

    fn controllers(
        &mut self,
        service: &str,
        what: Counted,
    ) -> (&mut Servo, Gear, Option<&mut Servo>) {
        let (notices, alerts) = self.accepted();
        let state = &mut self.state;
        let own = state.services.get_mut(service);
        match what {
            Counted::Notice => {
                (&mut state.notices, Gear::fleet(notices), own.map(|s| &mut s.notices))
            }
            Counted::Alert => (&mut state.alerts, Gear::fleet(alerts), own.map(|s| &mut s.alerts)),
        }
    }
}
