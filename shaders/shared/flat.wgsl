// One element per invocation in workgroups of 256, whatever the count: a grid wider than 65,535 groups has rows.

fn flat(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return (group.y * groups.x + group.x) * 256u + lane;
}
