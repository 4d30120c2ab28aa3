//! Whether a run fits into the memory that there is, and what would make it fit.

use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate};

use crate::diagnostic::Diagnostic;
use crate::stage::Smaller;

use super::draw::size;
use super::{DeviceClass, Node, Plan};

/// Memory for a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    pub bytes: u64,
    /// A person said so; else it is what the system has left.
    pub given: bool,
}

impl Room {
    /// What is left of this machine's memory, within the limits of the groups of processes that this one runs in; `None` where
    /// the system does not tell, and for graphics processors, which wgpu does not ask.
    pub fn left(device: DeviceClass) -> Option<Self> {
        if device != DeviceClass::Cpu || !sysinfo::IS_SUPPORTED_SYSTEM {
            return None;
        }
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        let own = sysinfo::get_current_pid().ok()?;
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, ProcessRefreshKind::nothing());
        let limits = system.process(own).and_then(Process::cgroup_limits).or_else(|| system.cgroup_limits());
        // files that were read count as used there, and make room for whoever asks
        let group = limits.map_or(u64::MAX, |limits| limits.total_memory.saturating_sub(limits.rss));
        let bytes = system.available_memory().min(group);
        (bytes > 0).then_some(Self { bytes, given: false })
    }
}

impl Plan {
    /// Whether every stage that a run would work on fits.
    ///
    /// # Errors
    /// Those that would take more than there is.
    pub fn fits(&self, room: Option<Room>) -> Result<(), Vec<Diagnostic>> {
        let Some(room) = room else { return Ok(()) };
        let works = self.nodes.iter().filter(|node| node.state.works());
        let needs = works.filter_map(|node| Some((node, node.cost.memory.filter(|bytes| *bytes > room.bytes)?)));
        let too_large: Vec<Diagnostic> = needs.map(|(node, bytes)| too_large(node, bytes, room)).collect();
        if too_large.is_empty() { Ok(()) } else { Err(too_large) }
    }
}

fn too_large(node: &Node, bytes: u64, room: Room) -> Diagnostic {
    let there = if room.given { "`--memory` allows" } else { "there is room for" };
    let message = format!("`{}` would take {}, and {there} {}", node.call.name, size(bytes), size(room.bytes));
    let change = |Smaller { change, bytes }: &Smaller| match bytes.checked_sub(room.bytes) {
        None | Some(0) => format!("{change} takes {} and fits", size(*bytes)),
        Some(over) => format!("{change} takes {}, still {} too much", size(*bytes), size(over)),
    };
    let mut help: Vec<String> = node.cost.smaller.iter().map(change).collect();
    if !room.given {
        let enough = bytes.div_ceil(1 << 20);
        help.push(format!("`--memory {enough}MiB` says that there is more; it is not looked at then"));
    }
    let error = Diagnostic::error("align::plan::memory", message).at(node.call.span, "at its worst moment");
    if help.is_empty() { error } else { error.help(help.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_left() {
        let room = Room::left(DeviceClass::Cpu).expect("systems that tests run on tell");
        assert!(room.bytes > 1 << 20 && !room.given);
        assert_eq!(Room::left(DeviceClass::Gpu), None);
    }
}
