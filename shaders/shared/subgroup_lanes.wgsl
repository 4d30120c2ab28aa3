// A lane of a workgroup that knows its subgroup. How large a subgroup is says the driver: at least 4 lanes.

struct Lanes {
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) place: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
}
