//! Compares the peers of every series at a closed block: the distances become series of their own,
//! learned, scored and budgeted like all others (METHODS 8.6).

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::detect::apart::{Farthest, PEERS_MIN, compare, is_compared};
use crate::engine::peer::Peer;
use crate::engine::track::{Tracked, Tracks};
use crate::rules::{Role, Signal};

/// Who began anew in a service during a block.
#[derive(Debug)]
enum Restarted {
    /// Somebody; the signal does not say who.
    Any,
    /// These peers.
    Peers(BTreeSet<String>),
}

impl Tracks {
    /// Compares the peers of each series at a block that was just closed.
    ///
    /// Fewer than three settled peers: the block has no distance, and a series that never had
    /// three has no series of distances.
    ///
    /// # Cost
    /// O(n log n) for n peers of a series; nothing for series without.
    pub fn compare_peers(&mut self, signals: &[Signal], block: i64, blocks_max: i64) {
        let restarted = restarted(&self.all, block);
        for place in 0..self.all.len() {
            let tracked = &mut self.all[place];
            let signal = &signals[tracked.signal];
            let Some(label) = &signal.peer else { continue };
            if tracked.apart.is_some() || !is_compared(signal) {
                continue;
            }
            if let Some(who) = restarted.get(&tracked.series.service) {
                unsettle(tracked, who);
            }
            let Some((ratio, farthest)) = farthest(tracked, signal, block) else { continue };
            let Some(at) = self.apart_from(place, label) else { continue };
            let distances = &mut self.all[at];
            distances.history.push(block, ratio, blocks_max);
            distances.newest.value = Some(ratio);
            if let Some(apart) = &mut distances.apart {
                apart.farthest = Some(farthest);
            }
        }
        // Where nobody could be compared.
        for distances in self.all.iter_mut().filter(|tracked| tracked.apart.is_some()) {
            distances.history.push(block, f64::NAN, blocks_max);
        }
    }

    /// Series whose peers would be compared if there were one more: of two that differ, nobody
    /// can say which one is apart.
    pub fn in_pairs<'a>(&'a self, signals: &'a [Signal]) -> impl Iterator<Item = &'a Tracked> {
        self.all.iter().filter(|tracked| {
            tracked.peers.len() == PEERS_MIN - 1 && is_compared(&signals[tracked.signal])
        })
    }
}

impl Tracked {
    /// The peer that is apart, where this is a series of distances that was ever compared.
    pub fn farthest(&self) -> Option<&Farthest> {
        self.apart.as_ref().and_then(|apart| apart.farthest.as_ref())
    }
}

fn farthest(tracked: &mut Tracked, signal: &Signal, block: i64) -> Option<(f64, Farthest)> {
    if tracked.peers.len() < PEERS_MIN {
        return None;
    }
    let (mut names, mut values, mut distances) = (Vec::new(), Vec::new(), Vec::new());
    for peer in &mut tracked.peers {
        if let Some(value) = peer.settled_at(block) {
            names.push(&*peer.name);
            values.push(value);
            distances.push(&mut peer.distance);
        }
    }
    compare(signal, &names, &values, &mut distances)
}

fn unsettle(tracked: &mut Tracked, who: &Restarted) {
    for peer in &mut tracked.peers {
        let again = match who {
            Restarted::Any => true,
            Restarted::Peers(names) => names.contains(&*peer.name),
        };
        if again {
            peer.restarted();
        }
    }
}

/// Which services had restarts in a block, by the signals of that role, and which peers began to
/// run another version.
fn restarted(all: &[Tracked], block: i64) -> BTreeMap<String, Restarted> {
    let mut found: BTreeMap<String, Restarted> = BTreeMap::new();
    let again =
        |&peer: &&Peer| peer.recent.newest().is_some_and(|(at, value)| at == block && value > 0.0);
    for tracked in all {
        let (service, peers) = (&tracked.series.service, tracked.peers.iter());
        match tracked.role {
            Role::Version => begun(&mut found, service, peers.filter(|peer| peer.came_at(block))),
            Role::Restarts if !tracked.peers.is_empty() => {
                begun(&mut found, service, peers.filter(again));
            }
            Role::Restarts if tracked.history.at(block) > 0.0 => {
                found.insert(service.clone(), Restarted::Any);
            }
            _ => {}
        }
    }
    found
}

/// These peers of a service began anew.
fn begun<'a>(
    found: &mut BTreeMap<String, Restarted>,
    service: &str,
    who: impl Iterator<Item = &'a Peer>,
) {
    for peer in who {
        let entry = found.entry(service.to_owned());
        let begun = entry.or_insert_with(|| Restarted::Peers(BTreeSet::new()));
        if let Restarted::Peers(names) = begun {
            names.insert(peer.name.to_string());
        }
    }
}
