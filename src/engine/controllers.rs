//! Who counts false alarms: a controller of the fleet and one per service, for each budget
//! (METHODS 2.8).

use super::Engine;
use super::detect::budget::{Gear, Servo, Turned};
use super::past::Charge;

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
    pub fn accepted(&self) -> (f64, f64) {
        let services = self.state.services.values();
        let fleet = services.filter(|service| service.calibration.is_some()).count() as f64;
        let budget = &self.rules.budget;
        (fleet * budget.notices_per_week, fleet * budget.alerts_per_week)
    }

    /// A block passes: all controllers let thresholds sink.
    pub(super) fn relax_controllers(&mut self) {
        let (notices, alerts) = self.accepted();
        let budget = &self.rules.budget;
        let state = &mut self.state;
        let each = [
            budget.notices_per_week * state.notices.grant(),
            budget.alerts_per_week * state.alerts.grant(),
        ];
        state.notices.relax(Gear::fleet(notices), notices);
        state.alerts.relax(Gear::fleet(alerts), alerts);
        for service in state.services.values_mut().filter(|s| s.calibration.is_some()) {
            service.notices.relax(Gear::SERVICE, each[0]);
            service.alerts.relax(Gear::SERVICE, each[1]);
        }
    }

    /// Counts an alarm on the fleet's controller and on the service's own.
    pub(super) fn count(&mut self, service: &str, what: Counted) -> Charge {
        let (fleet, gear, own) = self.controllers(service, what);
        let own = own.map_or(0.0, |own| own.alarm(Gear::SERVICE));
        let turned = Turned { fleet: fleet.alarm(gear), own };
        Charge { service: service.to_owned(), turned }
    }

    /// Takes an incident's alarms off both again: users feel it, or somebody says that it was
    /// right to tell, so they were no false ones.
    pub(super) fn absolve(&mut self, charges: [Option<Charge>; 2]) {
        for (charge, what) in charges.into_iter().zip([Counted::Notice, Counted::Alert]) {
            let Some(Charge { service, turned }) = charge else { continue };
            let (fleet, gear, own) = self.controllers(&service, what);
            fleet.absolve(gear, turned.fleet);
            if let Some(own) = own {
                own.absolve(Gear::SERVICE, turned.own);
            }
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
