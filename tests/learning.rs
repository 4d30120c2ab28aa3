//! Recipes as a person runs them: what each expects holds, and its null version (labels by the dice, another text, an
//! untrained candidate) fails the lines that matter.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A folder with the recipes and the quickstart's data.
fn clone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = folder.path().join("recipes");
    fs::create_dir_all(to.join("quickstart")).expect("a new folder");
    fs::create_dir_all(to.join("constitutional")).expect("a new folder");
    for from in ["recipes", "recipes/quickstart", "recipes/constitutional"] {
        for file in fs::read_dir(from).expect("the repository").map(|e| e.expect("an entry").path()).filter(|p| p.is_file()) {
            let inside = file.strip_prefix("recipes").expect("a recipe's file");
            fs::copy(&file, to.join(inside)).expect("a copy");
        }
    }
    folder
}

fn run(folder: &Path, recipe: &str, param: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_align"));
    command.current_dir(folder).args(["run", &format!("recipes/{recipe}.align"), "--device", "cpu"]);
    param.into_iter().for_each(|param| {
        command.args(["-p", param]);
    });
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// The recipe holds; with `null` the lines that begin so fail, and nothing is exported.
fn learns(recipe: &str, null: &str, fails: &[&str]) {
    let folder = clone();
    refuted(folder.path(), recipe, null, fails);
    holds(folder.path(), recipe);
}

fn refuted(folder: &Path, recipe: &str, null: &str, fails: &[&str]) {
    let (code, said) = run(folder, recipe, Some(null));
    assert_eq!(code, Some(1), "{recipe} with {null}: {said}");
    for line in fails {
        assert!(said.contains(&format!("failed {line}")), "{recipe} with {null}: `{line}` does not fail\n{said}");
    }
    assert!(!folder.join("out").exists(), "nothing is exported from a run that failed");
}

fn holds(folder: &Path, recipe: &str) {
    let (code, said) = run(folder, recipe, None);
    assert_eq!(code, Some(0), "{recipe}: {said}");
}

#[test]
fn a_hardened_model_withstands_attacks_it_has_not_seen() {
    learns("redteam", "teacher=chance", &["fixed.now.upper95 < 0.5 * fixed.before.mean", "fresh.now.upper95 < 0.5 * fresh.before.mean"]);
}

#[test]
fn a_society_teaches_what_it_rates() {
    learns("society", "observer=chance", &["after.gold.lower95 > before.gold.upper95"]);
}

#[test]
fn a_rule_model_reads_its_rules() {
    learns("rules", "labels=chance", &["told_apart.auroc.lower95 > 0.8", "after.any.upper95 < before.any.mean"]);
}

#[test]
fn every_preference_loss_learns() {
    learns(
        "preferences",
        "judge=chance",
        &["dpo_tale.gold.lower95 > start.gold.upper95 + 0.15", "kto_tale.gold.lower95 > start.gold.upper95 + 0.15"],
    );
}

#[test]
fn every_way_to_climb_a_reward_climbs() {
    learns(
        "groups",
        "pay=chance",
        &["ppo_tale.gold.lower95", "rloo_tale.gold.lower95", "grpo_tale.gold.lower95", "gspo_tale.gold.lower95"],
    );
}

#[test]
fn a_judge_agrees_about_what_it_read() {
    learns("judges", "reads=another", &["trust.tau.lower95 > 0.1", "binary.kappa.lower95 > 0"]);
}

#[test]
fn quotes_stand_in_their_story_and_the_better_one_is_found() {
    learns(
        "quotes",
        "labels=chance",
        &["told_apart.accuracy.lower95", "best_of.right.lower95 > any.right.upper95", "sure.area.upper95 < best_of.wrong.lower95"],
    );
}

#[test]
fn what_people_said_tells_what_they_would_say() {
    learns("opinions", "past=another", &["whole.accuracy.lower95", "near.accuracy.lower95 > dealt.accuracy.upper95"]);
}

#[test]
fn advice_lifts_a_judge_who_knows_less() {
    learns("oversight", "help=novice", &["advised.assisted.lower95", "advised.uplift.lower95 > 0"]);
}

#[test]
fn who_may_answer_cannot_be_outquoted() {
    let (folder, heard) = (clone(), "held.accuracy.lower95 > dealt.accuracy.upper95 + 0.1");
    let answered = "worst.answered.lower95 > worst.alone.upper95 + 0.3";
    refuted(folder.path(), "debate", "judge=chance", &["held.accuracy.lower95 > held.direct.upper95 + 0.2", heard, answered]);
    refuted(folder.path(), "debate", "quotes=chance", &[heard, "held.honest.lower95 > 0.6", answered]);
    holds(folder.path(), "debate");
}

#[test]
fn an_instruction_takes_out_what_was_read() {
    learns("self_correction", "taught=chance", &["less.instructed.lower95 > 0.6"]);
}

#[test]
fn a_probe_finds_what_is_there_and_nothing_in_dice() {
    learns("inside", "labels=chance", &["whom.accuracy.lower95 > 0.75", "whom.selectivity.lower95 > 0.2"]);
}

#[test]
fn reward_models_rank_what_they_have_not_seen() {
    learns("rewards", "judge=chance", &["compared.ranked.lower95 > 0.6", "compared.team.lower95 > 0.6"]);
}

#[test]
fn a_bound_on_cost_binds() {
    learns("safe", "budget=1000", &["bound.cost.upper95 < start.cost.lower95", "bound.cost.upper95 < loose.cost.lower95"]);
}

#[test]
fn comparisons_asked_on_the_way_teach() {
    learns("feedback_loop", "labels=dice", &["after.gold.lower95 > start.gold.upper95"]);
}

#[test]
fn feedback_by_principles_teaches() {
    learns("constitutional", "labeller=chance", &["after.gold.lower95 > larger(before.gold.upper95, revised.gold.upper95) + 0.05"]);
}

#[test]
fn a_round_counts_when_it_beats_the_start() {
    learns("online", "labels=chance", &["policy.win.lower95 > 0.5"]);
}

#[test]
fn a_proxy_is_worth_something_until_it_is_optimised_too_far() {
    learns("overoptimisation", "errors=0.49", &["turn.best.mean > origin.gold.mean + 0.3 and curve.alpha.lower95 > 0"]);
}

#[test]
fn distance_buys_what_labels_ask_for() {
    learns("frontier", "labels=chance", &["reached.ppo.mean > began.gold.upper95 + 0.3", "reached.bon.mean > began.gold.upper95 + 0.2"]);
}

#[test]
fn a_briefing_is_folded_into_the_weights() {
    learns("distill", "briefing=", &["student.kl < 0.3 * student.before.mean", "alone.gold.lower95 > plain.gold.mean"]);
}

#[test]
fn recipes_that_hold_their_null_beside_them_hold() {
    for recipe in ["selfplay", "active", "values"] {
        holds(clone().path(), recipe);
    }
}

#[test]
fn an_untrained_candidate_is_not_released() {
    learns("release", "candidate=base", &["fixed.success.upper95 <= 2.5%", "passed.failed == 0"]);
}
