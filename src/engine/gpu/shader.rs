//! Kernel sources: the embedded WGSL files and the three directives that WGSL itself lacks.
//!
//! - `#import name` brings in `shaders/shared/name.wgsl`, once; `#import name of word` does so with `$it` = `word`, once
//!   for each word. Under the constants of [`STAND_INS`] another part comes in its place, where there is one.
//! - `#for i N` … `#end` repeats lines with `$i` = 0 … N − 1: unrolled by us, because not every driver keeps an
//!   indexed array in registers. N is a number or one of the kernel's constants.
//! - Constants come from the host, which compiles one text at several tile sizes; they open the text as `const`s.

use std::fmt::Write as _;

/// A constant that the host gives a kernel.
pub type Constant = (&'static str, u32);

/// The constant of kernels that reduce by subgroups.
pub const SUBGROUPS: &str = "SUBGROUPS";

/// The constant of kernels that read matrices by vectors of four.
pub const VECTORS: &str = "VECTORS";

/// Under a constant, the ending of the shared parts that stand in for others.
const STAND_INS: &[(&str, &str)] = &[(SUBGROUPS, "_subgroup"), (VECTORS, "_vectors")];

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../shaders/", $name, ".wgsl")))),*]
    };
}

/// Every kernel file and shared part: its stem and its text.
pub const SOURCES: &[(&str, &str)] = sources![
    "adamw",
    "add",
    "attention",
    "attention_delta",
    "attention_key",
    "attention_query",
    "attention_row",
    "column_sum",
    "embed",
    "fill",
    "gather",
    "gelu",
    "halve",
    "kl",
    "layer_norm",
    "linear",
    "linear_blocks",
    "linear_blocks_row",
    "linear_cooperative16",
    "linear_cooperative8",
    "linear_halves",
    "linear_halves_row",
    "linear_logp",
    "linear_logp_backward",
    "linear_logp_merge",
    "linear_row",
    "magnitude",
    "merged_norm",
    "norm_sq",
    "rms_norm",
    "rope",
    "scale",
    "scatter",
    "swiglu",
    "shared/attention_cap",
    "shared/attention_factor",
    "shared/attention_forward",
    "shared/attention_gradient",
    "shared/attention_place",
    "shared/attention_tile",
    "shared/attention_walk",
    "shared/block",
    "shared/chosen_rows",
    "shared/cooperative",
    "shared/flat",
    "shared/head",
    "shared/held",
    "shared/held_subgroup",
    "shared/product",
    "shared/product_a",
    "shared/product_a_vectors",
    "shared/product_b",
    "shared/product_b_vectors",
    "shared/product_result",
    "shared/row_product",
    "shared/row_result",
    "shared/shares",
    "shared/shares_subgroup",
    "shared/squash",
    "shared/step",
    "shared/subgroup_lanes",
    "shared/sum",
    "shared/sum_subgroup",
    "shared/tile",
    "shared/tile_vectors",
];

/// Returns the plain WGSL of the file `name` under the given constants.
///
/// # Panics
/// When the file or an import does not exist or a loop is not closed: `tests/shaders.rs` expands every file.
pub fn expand(name: &str, constants: &[Constant]) -> String {
    // WGSL wants these before anything else
    let is_directive = |line: &&str| line.starts_with("enable ");
    let mut text: String = source(name).lines().filter(is_directive).map(|line| format!("{line}\n")).collect();
    for (constant, value) in constants {
        writeln!(text, "const {constant}: u32 = {value}u;").expect("a String takes any text");
    }
    let lines: Vec<&str> = source(name).lines().filter(|line| !is_directive(line)).collect();
    expand_lines(&lines, constants, &mut Vec::new(), &mut text);
    text
}

fn source(name: &str) -> &'static str {
    SOURCES.iter().find(|(stem, _)| *stem == name).map(|(_, text)| *text).expect("a kernel names a file of SOURCES")
}

fn expand_lines(lines: &[&str], constants: &[Constant], imported: &mut Vec<String>, out: &mut String) {
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim();
        if let Some(name) = line.strip_prefix("#import ") {
            if !imported.iter().any(|seen| seen == name) {
                imported.push(name.to_owned());
                import(name, constants, imported, out);
            }
        } else if let Some(header) = line.strip_prefix("#for ") {
            let length = body_length(&lines[at + 1..]);
            unroll(header, &lines[at + 1..=at + length], constants, out);
            at += length + 1;
        } else {
            out.push_str(lines[at]);
            out.push('\n');
        }
        at += 1;
    }
}

fn import(name: &str, constants: &[Constant], imported: &mut Vec<String>, out: &mut String) {
    let (file, word) = name.split_once(" of ").unwrap_or((name, ""));
    let given = STAND_INS.iter().filter(|(constant, _)| constants.iter().any(|(name, _)| name == constant));
    let mut endings = given.map(|(_, ending)| format!("shared/{file}{ending}"));
    let stand_in = endings.find(|stem| SOURCES.iter().any(|(known, _)| known == stem));
    let stem = stand_in.unwrap_or_else(|| format!("shared/{file}"));
    let part = source(&stem).replace("$it", word);
    let lines: Vec<&str> = part.lines().collect();
    expand_lines(&lines, constants, imported, out);
}

/// Lines before the `#end` that closes the loop which `lines` is the inside of.
fn body_length(lines: &[&str]) -> usize {
    let mut depth = 1;
    lines
        .iter()
        .position(|line| {
            depth += i32::from(line.trim().starts_with("#for ")) - i32::from(line.trim() == "#end");
            depth == 0
        })
        .expect("every #for has its #end")
}

fn unroll(header: &str, body: &[&str], constants: &[Constant], out: &mut String) {
    let (variable, count) = header.split_once(' ').expect("#for names a variable and a count");
    let named = constants.iter().find(|(name, _)| *name == count).map(|(_, value)| *value);
    let count = named.or_else(|| count.parse().ok()).expect("a count is a number or a constant of the kernel");
    for value in 0..count {
        let lines: Vec<String> = body.iter().map(|line| line.replace(&format!("${variable}"), &value.to_string())).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        expand_lines(&lines, constants, &mut Vec::new(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, constants: &[Constant]) -> String {
        let mut out = String::new();
        expand_lines(&text.lines().collect::<Vec<_>>(), constants, &mut Vec::new(), &mut out);
        out
    }

    #[test]
    fn loops_unroll_and_nest() {
        let text = "#for i 2\n#for j N\na$i$j\n#end\n#end\nend";
        assert_eq!(expanded(text, &[("N", 3)]), "a00\na01\na02\na10\na11\na12\nend\n");
    }

    #[test]
    fn an_import_comes_once() {
        let twice = expanded("#import step\n#import step", &[]);
        assert_eq!(twice, expanded("#import step", &[]));
        assert!(twice.contains("struct Step"));
    }

    #[test]
    fn a_part_by_subgroups_stands_in_where_it_is_asked_for() {
        let with = expanded("#import sum\n#import step", &[(SUBGROUPS, 1)]);
        assert!(with.contains("subgroupAdd") && with.contains("struct Step"));
        assert!(!expanded("#import sum", &[]).contains("subgroupAdd"));
    }
}
