//! Families of methods as recipes on the story model or on plain rows, small: each learns what it should, and its null
//! version does not. What holds is said by `expect` in the recipe, so a failure shows the number.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a recipe in a folder of its own; `…` stands for the story model, its gold scorer and some openings.
fn holds(recipe: &str, files: &[(&str, &str)]) {
    let (success, said) = run(recipe, files);
    assert!(success, "{said}");
}

/// Whether a recipe's run ended well, and what it said.
fn run(recipe: &str, files: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/quickstart");
    let usual = format!(
        "base = load_model(\"{0}/model.safetensors\")
    gold = load_scorer(\"{0}/vader_lexicon.txt\")
    openings = load_data(\"{0}/openings.jsonl\") as {{ prompt: Text, event: Text }}
    part = openings.split(test: 30%, by: .event)
    asked = some(part.train, 48).select(prompt: .prompt)
    unseen = some(part.test, 24).select(prompt: .prompt)",
        data.display()
    );
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    fs::write(folder.path().join("r.align"), recipe.replace('…', &usual)).expect("a recipe");
    let run = Command::new(env!("CARGO_BIN_EXE_align"))
        .current_dir(folder.path())
        .args(["run", "r.align", "--device", "cpu"])
        .output()
        .expect("the binary runs");
    (run.status.success(), format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr)))
}

#[test]
fn a_round_that_changes_nothing_does_not_pass_its_gate() {
    let (success, said) = run(
        "use std.{online_rlhf, generate, some}
recipe r {
    …
    few = some(asked, 12)
    seen = generate(base, few, count: 2, max_tokens: 8).pairs(by: dice(1M), take: random).select(prompt: .prompt, chosen: .chosen, rejected: .rejected, p: 0.5)
    still = online_rlhf(base, few, label: 0.5, seen: seen, holdout: few, judge: gold.score(.completion), rounds: 2, rollouts: 1, lr: 1e-9, batch: 8, max_tokens: 8)
    export still to \"still\"
}
",
        &[],
    );
    assert!(!success && said.contains("align::run::no_round"), "{said}");
}

#[test]
fn a_briefing_moves_into_the_weights() {
    holds(
        "use std.{context_distill, some, no_turns}
recipe r {
    …
    cheer = user(\"Lily was very happy. She had a birthday party with a big cake and all her friends. They laughed and had so much fun. \")
    student = context_distill(base, cheer, asked, eval: unseen, lr: 1e-3, batch: 8, epochs: 3, max_tokens: 16)
    idle = context_distill(base, no_turns(), asked, eval: unseen, lr: 1e-3, batch: 8, epochs: 3, max_tokens: 16)
    expect student.before > 0.1
    expect student.kl < 0.9 * student.before.mean
    expect abs(idle.before.mean) < 1e-4, \"nothing before the prompt makes no difference\"
    expect idle.kl < 0.01, \"and teaches nothing\"
}
",
        &[],
    );
}

#[test]
fn an_ensemble_learns_agrees_and_is_not_fooled() {
    holds(
        "use std.{reward_ensemble, calibrate, disagreement, generate, some}
recipe r {
    …
    told = generate(base, some(part.train, 96).select(prompt: .prompt), count: 8, max_tokens: 24)
    others = some(part.test, 48).select(prompt: .prompt)
    held = generate(base, others, count: 6, max_tokens: 24, seed: 1).pairs(by: gold.score(.completion), take: all).filter(.gap > 0.3)
    right = some(told.pairs(by: gold.score(.completion), take: all).filter(.gap > 0.3), 960)
    wrong = some(told.pairs(by: dice(1M), take: all), 960)
    team = reward_ensemble(base, right, members: 4, eval: held, lr: 1e-3, batch: 16, epochs: 2)
    null = reward_ensemble(base, wrong, members: 4, eval: held, lr: 1e-3, batch: 16, epochs: 2)
    doubt = held.measure(
        spread: mean(disagreement(team, .chosen, .rejected), over: all),
        heads: mean(items(team.scores(.chosen)), over: all),
        apart: mean(abs(mean(team.scores(.chosen)) - team.score(.chosen)), over: all),
    )
    honest = calibrate(team, held)
    expect team.accuracy.lower95 > 0.55, \"it must learn what the lexicon likes\"
    expect null.accuracy.lower95 < 0.6 and null.accuracy.upper95 > 0.4, \"and nothing from dice\"
    expect doubt.heads == 4
    expect doubt.spread > 1e-6, \"members differ\"
    expect doubt.apart < 1e-4, \"the score is their mean\"
    expect honest.t > 0
}
",
        &[],
    );
}

#[test]
fn numbers_are_fitted_and_drawn() {
    holds(
        "use std.{best_of_curve_loss, rl_curve_loss, linear_reward_loss}
recipe r {
    rows = load_data(\"rows.jsonl\") as { d: Float, gold: Float, x: Float }
    best = fit(rows, best_of_curve_loss())
    other = fit(rows, rl_curve_loss())
    expect abs(best.alpha.mean - 1.2) < 1e-6 and abs(best.beta.mean - 0.12) < 1e-6
    expect abs(best.peak.mean - 5) < 1e-4 and best.r2 > 0.999999
    expect other.r2 < best.r2.mean, \"the wrong form fits worse\"

    // a normal mean under a normal prior: posterior mean n x̄ / (n + 1), variance 1 / (n + 1)
    draws = posterior(rows, mean_loss(), draws: 4000)
    n = rows.measure(n: mean(1, over: all), x: mean(.x, over: all))
    expect abs(mean(draws.mu) - n.x.mean * 8 / 9) < 0.05
    expect abs(std(draws.mu) - 1 / 3) < 0.05
    expect draws.effective > 400 and draws.acceptance > 0.1

    choices = load_data(\"choices.jsonl\") as { difference: [Float] }
    w = fit(choices, linear_reward_loss([0.0, 0.0]))
    expect w.accuracy == 1 and w.w[0].mean > w.w[1].mean
}
objective mean_loss(trained mu: Float = 0.0) for { x: Float } {
    loss = 0.5 * (.x - mu) ^ 2
}
",
        &[
            (
                "rows.jsonl",
                &(1..=8)
                    .map(|i| {
                        let d = f64::from(i) / 2.0;
                        format!("{{\"d\": {d}, \"gold\": {}, \"x\": {}}}\n", d * (1.2 - 0.12 * d), 0.5 + f64::from(i % 3) - 1.0)
                    })
                    .collect::<String>(),
            ),
            ("choices.jsonl", "{\"difference\": [1.0, 0.2]}\n{\"difference\": [0.8, -0.3]}\n{\"difference\": [0.5, 0.1]}\n"),
        ],
    );
}

/// Features: mood, effort, and a hazard that never comes up where the reward was written.
fn candidates(hazards: bool) -> String {
    let mut rows = String::new();
    for prompt in 0..12 {
        for answer in 0..5 {
            let at = f64::from(prompt * 5 + answer);
            let (mood, effort) = ((at * 1.7).sin(), (at * 2.3).cos());
            let hazard = if hazards && answer == prompt % 5 { 1.0 } else { 0.0 };
            rows += &format!(
                "{{\"prompt\": \"p{prompt}\", \"completion\": \"a{answer}\", \"features\": [{mood}, {effort}, {hazard}], \"hazard\": {hazard}}}\n"
            );
        }
    }
    rows
}

#[test]
fn what_was_never_seen_stays_open_and_is_avoided() {
    holds(
        "use std.{reward_posterior, risk_averse, alignment_test, verify_weights, best}
recipe r {
    developed = load_data(\"developed.jsonl\") as { prompt: Text, completion: Completion, features: [Float] }
    deployed = load_data(\"deployed.jsonl\") as { prompt: Text, completion: Completion, features: [Float], hazard: Float }
    rivals = blank(40).with(a: dice(2000) / 1000 - 1).with(b: dice(2000) / 1000 - 1).with(c: dice(2000) / 1000 - 1).select(w: [.a, .b, .c])
    meant = reward_posterior(developed, [1.0, 0.1, 1.0], rivals, beta: 10.0, draws: 600)
    seen = blank(1).select(mood: mean(times(meant.w, [1.0, 0.0, 0.0])), hazard: mean(times(meant.w, [0.0, 0.0, 1.0])), open: std(times(meant.w, [0.0, 0.0, 1.0])))
        .measure(mood: mean(.mood, over: all), hazard: mean(.hazard, over: all), open: mean(.open, over: all))
    grounded = deployed.with(baseline: [0.0, 0.0, 0.0])
    literal = deployed.best(by: dot([1.0, 0.1, 1.0], .features)).measure(hazard: mean(.hazard, over: all))
    careful = grounded.risk_averse(meant.w).measure(hazard: mean(.hazard, over: all))
    expect seen.mood > 0.5, \"what was written about mood was meant\"
    expect abs(seen.hazard.mean) < 0.2 and seen.open > 0.2, \"what never came up says nothing\"
    expect literal.hazard > 0.5, \"taken literally, the reward walks into the hazard\"
    expect careful.hazard < 0.05

    pairs = deployed.pairs(by: .features[0] + 0.1 * .features[1], take: all).with(difference: [.first.features[0] - .second.features[0], .first.features[1] - .second.features[1]])
    test = alignment_test(pairs)
    size = test.measure(n: mean(1, over: all))
    friend = verify_weights(pairs, [1.0, 0.1])
    small = verify_weights(test, [1.0, 0.1])
    foe = verify_weights(test, [1.0, -3.0])
    expect size.n.n < 6, \"two sides bound a cone in the plane\"
    expect friend.aligned and small.aligned
    expect foe.violated > 0
}
",
        &[("developed.jsonl", &candidates(false)), ("deployed.jsonl", &candidates(true))],
    );
}

#[test]
fn a_multiplier_climbs_while_its_bound_is_broken() {
    holds(
        "use std.{safe_rlhf, some}
recipe r {
    …
    over = safe_rlhf(base, asked, reward: length(.completion) / 16, cost: 1.0, budget: 0.0, rate: 0.3, steps: 4, batch: 16, lr: 1e-5, max_tokens: 8)
    under = safe_rlhf(base, asked, reward: length(.completion) / 16, cost: -1.0, budget: 0.0, rate: 0.3, steps: 4, batch: 16, lr: 1e-5, max_tokens: 8)
    expect over.lambda > 1.8, \"ln λ grows by rate × λ × excess\"
    expect under.lambda < 0.7
    expect over.unsafe == 1 and under.unsafe == 0
}
",
        &[],
    );
}

#[test]
fn text_beside_rollouts_is_learnt() {
    holds(
        "use std.{ppo, sft, generate, some, nll_loss, train}
recipe r {
    …
    text = asked.select(prompt: .prompt, completion: \" The dragon counted seven purple umbrellas.\")
    plain = ppo(base, asked, reward: 0.0, steps: 4, batch: 16, passes: 4, lr: 1e-3, max_tokens: 8)
    mixed = ppo(base, asked, reward: 0.0, steps: 4, batch: 16, passes: 4, lr: 1e-3, max_tokens: 8, text: text, text_weight: 5.0)
    seen = text.measure(plain: mean(-plain.logp(.completion), over: all), mixed: mean(-mixed.logp(.completion), over: all))
    expect seen.mixed < seen.plain.mean - 0.2, \"the text's likelihood rises beside the reward\"
}
",
        &[],
    );
}

#[test]
fn a_model_chooses_among_options() {
    holds(
        "use std.{generate, some, prefers_either_way, no_turns}
recipe r {
    …
    shown = unseen.with(
        chance: base.choose(.prompt, [\" and then they played.\", \" zqx vvv kkk.\"]),
        other: prefers_either_way(base, .prompt, \"Which is better?\", \"one\", \"one\", no_turns()),
    ).measure(
        words: mean(.chance[0], over: all),
        whole: mean(abs(sum(.chance) - 1), over: all),
        even: mean(abs(.other - 0.5), over: all),
    )
    expect shown.words > 0.99, \"words are likelier than none\"
    expect shown.whole < 1e-9
    expect shown.even < 1e-6, \"two equal answers asked both ways are even\"
}
",
        &[],
    );
}

#[test]
fn thompson_asks_about_pairs_that_differ() {
    holds(
        "use std.{thompson, imagined, labelled, sea, generate, scorer, some}
recipe r {
    …
    drawn = generate(base, asked, count: 5, max_tokens: 12)
    enn = scorer(base, members: 6)
    doubts = thompson(drawn, enn, 6)
    free = imagined(drawn, enn, 6)
    seen = mix([doubts, free]).measure(same: mean(if .chosen.text == .rejected.text then 1 else 0, over: all), rows: mean(1, over: all))
    policy = sea(base, asked, label: sigmoid(gold.score(.chosen) - gold.score(.rejected)), rounds: 2, batch_prompts: 8, samples: 3, members: 3, burn_in: 0,
                 lr: 1e-4, batch: 8, max_tokens: 8)
    spent = policy.queries.measure(n: mean(1, over: all))
    expect seen.same == 0
    expect spent.n.n <= 16, \"no more queries than asked for\"
}
",
        &[],
    );
}

#[test]
fn self_play_and_revision_run_by_text() {
    holds(
        "use std.{spin, sl_cai, ai_feedback, rl_cai, refine, preference_loop, generate, best, some, Principle}
recipe r {
    …
    few = some(asked, 12)
    constitution = load_data(\"principles.jsonl\") as Principle
    demos = generate(base, few, count: 4, max_tokens: 12).with(worth: gold.score(.completion)).best(by: .worth).select(prompt: .prompt, completion: .completion)
    player = spin(base, demos, rounds: 2, lr: 1e-4, batch: 8, max_tokens: 8)
    tuned = sl_cai(base, base, few, few, constitution, rounds: 2, lr: 1e-4, batch: 8, max_tokens: 8)
    labels = ai_feedback(tuned, base, few, constitution, max_tokens: 8)
    thought = ai_feedback(tuned, base, few, constitution, thought: true, max_tokens: 8)
    policy = rl_cai(tuned, labels, few, rollouts: 1, batch: 8, max_tokens: 8)
    better = refine(base, demos, feedback: \" Again, and happier. \", score: gold.score(.completion), rounds: 2, max_tokens: 8)
    asking = preference_loop(base, few, label: sigmoid(gold.score(.chosen) - gold.score(.rejected)), rounds: 2, queries: 24, members: 2, rollouts: 1, batch: 8, max_tokens: 8)
    held = thought.measure(low: min(.p, over: all), high: max(.p, over: all))
    gained = better.measure(gold: mean(gold.score(.completion), over: all))
    began = demos.measure(gold: mean(gold.score(.completion), over: all))
    known = asking.asked.measure(n: mean(1, over: all))
    expect held.low >= 0.4 and held.high <= 0.6, \"labels after thought are clamped\"
    expect gained.gold >= began.gold.mean, \"a gated step never loses\"
    expect known.n.n <= 14, \"24 / 3 and 24 / 4\"
    export player to \"player\"
    export policy to \"policy\"
}
",
        &[(
            "principles.jsonl",
            "{\"id\": \"a\", \"critique\": \" But it was sad.\", \"revise\": \" Again:\", \"choose\": \"Which is kinder?\"}\n{\"id\": \"b\", \"critique\": \" But it was long.\", \"revise\": \" Shorter:\", \"choose\": \"Which is shorter?\"}\n",
        )],
    );
}

#[test]
fn every_other_stage_does_its_work() {
    holds(
        "use std.{preference_pretraining, split_reward, cost_model, verify_choices, point, best_of_point, from_start, a2c, generate, some}
use std.{pick_best_loss, plackett_luce_loss, tails, rating_loss, gspo_loss, segment_loss, label_share, binarised}
recipe r {
    …
    few = some(asked, 6)
    told = generate(base, few, count: 4, max_tokens: 8).with(reward: gold.score(.completion), place: rank(dice(1M), over: .prompt))
    prefs = told.pairs(by: .reward, take: extremes)
    weak = preference_pretraining(base, prefs, eval: prefs, batch: 3, steps: 2)
    labels = preference_pretraining(base, binarised(prefs), batch: 3, steps: 2)
    halves = split_reward(base, prefs, batch: 3, steps: 2)
    picked = train(scorer(base), told.with(best: .place == 0), pick_best_loss(), batch: 12, steps: 2)
    ranked = train(scorer(base), tails(told), plackett_luce_loss(), batch: 60, steps: 2)
    rated = train(scorer(base), told.with(rating: .reward), rating_loss(), batch: 8, steps: 2)
    clips = train(critic(base), prefs.with(p: label_share(1.0, 1.0)), segment_loss(), batch: 3, steps: 2)
    harm = cost_model(base, prefs.select(prompt: .prompt, chosen: .chosen, rejected: .rejected, chosen_unsafe: true, rejected_unsafe: false), batch: 3, steps: 2)
    group = rl(base, few, gspo_loss(), reward: gold.score(.completion), samples: 3, batch: 2, steps: 2, max_tokens: 8)
    actor = a2c(base, few, reward: gold.score(.completion), batch: 3, steps: 2, max_tokens: 8)
    asked_of = verify_choices(prefs, sigmoid(weak.score(.chosen) - weak.score(.rejected)))
    at = point(base, base, few, gold.score(.completion), weak.score(.completion), \"rl\", samples: 2, max_tokens: 8)
    pool = told.with(gold: .reward, proxy: weak.score(.completion))
    bon = best_of_point(pool, 2, \"bon\")
    curve = from_start(mix([at, bon]), 0.0, 0.0)
    far = bon.measure(d: mean(.d, over: all))
    export mix([told.select(score: harm.score(.completion)), told.select(score: picked.score(.completion)), told.select(score: ranked.score(.completion)),
                told.select(score: rated.score(.completion)), told.select(score: labels.score(.completion)), told.select(score: halves.test.score(.completion))]) to \"scores.jsonl\"
    export group to \"group\"
    export actor to \"actor\"
    expect abs(far.d.mean ^ 2 - 0.1931471805599453) < 1e-9, \"best of two costs log 2 − 1/2 nats\"
    expect asked_of.violated <= 1
}
",
        &[],
    );
}
