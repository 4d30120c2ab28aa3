//! Passes made ahead. `old(…)` asks the trained networks about a rollout as they were when it was sampled, and the first
//! optimiser step asks them the same again before anything has changed: one forward is both, where its activations fit.

use crate::model::{Engine, ModelError, NetId, Pass, Readout, TokenSequence, Want};

/// Forwards of a rollout that wait for their step.
#[derive(Default, Debug)]
pub(super) struct Ahead {
    /// All that the step will ask of each network.
    expected: Vec<(NetId, Want)>,
    made: Vec<Made>,
    /// Bytes of activations kept.
    bytes: u64,
}

#[derive(Debug)]
struct Made {
    net: NetId,
    want: Want,
    sequences: Vec<TokenSequence>,
    pass: Pass,
    read: Readout,
}

impl Made {
    fn answers(&self, net: NetId, sequences: &[TokenSequence], want: Want) -> bool {
        self.net == net && self.want.covers(want) && self.sequences == sequences
    }
}

impl Ahead {
    /// Prepares for a rollout after which a step will ask `expected` of each network.
    pub(super) fn expect(&mut self, expected: Vec<(NetId, Want)>) {
        *self = Self { expected, ..Self::default() };
    }

    /// Forgets everything: the networks are about to change.
    pub(super) fn forget(&mut self) {
        self.expect(Vec::new());
    }

    /// As [`Engine::readout`], keeping the pass where the step will want it and there is room.
    ///
    /// # Errors
    /// As [`Engine::readout`].
    pub(super) fn readout(
        &mut self,
        engine: &mut Engine,
        (net, sequences, want): (NetId, &[TokenSequence], Want),
        temperature: f64,
    ) -> Result<Readout, ModelError> {
        if let Some(made) = self.made.iter().find(|made| made.answers(net, sequences, want)) {
            return Ok(made.read.clone());
        }
        let expected = self.expected.iter().find(|(other, all)| *other == net && all.covers(want)).map(|(_, all)| *all);
        let room = expected.and_then(|all| Some((all, engine.room_for(net, sequences, all, self.bytes)?)));
        let Some((all, bytes)) = room else { return engine.readout(net, sequences, want, temperature) };
        let (pass, read) = engine.forward(net, sequences, all, temperature)?;
        self.bytes += bytes;
        self.made.push(Made { net, want: all, sequences: sequences.to_vec(), pass, read: read.clone() });
        Ok(read)
    }

    /// The pass that was made for this, if one was.
    pub(super) fn take(&mut self, net: NetId, sequences: &[TokenSequence], want: Want) -> Option<(Pass, Readout)> {
        let at = self.made.iter().position(|made| made.answers(net, sequences, want))?;
        let made = self.made.swap_remove(at);
        Some((made.pass, made.read))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::engine::cpu::CpuDevice;
    use crate::model::{Budget, Network};

    use super::*;

    const ALL: Want = Want { entropy: true, ..Want::LOGP };

    fn engine(budget: Budget) -> (Engine, NetId) {
        let mut engine = Engine::new(Box::new(CpuDevice::new(Some(1)).expect("a processor")));
        engine.set_budget(budget);
        let network = Network::open(Path::new("recipes/quickstart")).expect("it opens");
        let net = engine.load(&network, true).expect("it loads");
        (engine, net)
    }

    fn sequences() -> Vec<TokenSequence> {
        (0..6).map(|i| TokenSequence::new([1, 300 + i], [301, 302 + i, 2])).collect()
    }

    #[test]
    fn a_pass_made_ahead_is_the_steps_own() {
        let (mut engine, net) = engine(Budget::default());
        let mut ahead = Ahead::default();
        ahead.expect(vec![(net, ALL)]);
        let read = ahead.readout(&mut engine, (net, &sequences(), Want::LOGP), 1.0).expect("answers");
        assert_eq!(read, engine.readout(net, &sequences(), ALL, 1.0).expect("answers"));
        assert!(ahead.take(net, &sequences()[1..], ALL).is_none(), "other sequences");
        let (pass, again) = ahead.take(net, &sequences(), ALL).expect("it was made");
        assert_eq!(again, read);
        drop(pass);
        assert!(ahead.take(net, &sequences(), ALL).is_none(), "taken once");
    }

    #[test]
    fn nothing_is_kept_where_the_networks_change_or_there_is_no_room() {
        let (mut engine, net) = engine(Budget { rows: 8, ..Budget::default() });
        let mut ahead = Ahead::default();
        ahead.expect(vec![(net, ALL)]);
        let (one, all) = (&sequences()[..1], &sequences()[..]);
        for sequences in [one, all] {
            let read = ahead.readout(&mut engine, (net, sequences, Want::LOGP), 1.0).expect("answers");
            assert_eq!(read.logp, engine.readout(net, sequences, Want::LOGP, 1.0).expect("answers").logp);
        }
        assert!(ahead.take(net, all, ALL).is_none(), "more than a batch");
        ahead.forget();
        assert!(ahead.take(net, one, ALL).is_none(), "forgotten");
    }
}
