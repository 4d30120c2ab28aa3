//! Reports and `align ui` in a real browser: clicks, keys, filters, sizes, and nothing on the console. Ignored, never
//! passed, where there is no browser (`apt-get install chromium`, or `ALIGN_BROWSER=…`).

mod browse;
mod spoken;
mod toy;

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use align::plan::draw::{Part, Picture, Sketch, draw};
use align::report;
use align::ui::{Raters, Server};
use browse::Page;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

fn main() {
    let there = browse::browser().is_some();
    let tests: &[(&str, fn())] = &[
        ("a_report_is_used_with_keys_and_clicks", used),
        ("a_report_asks_nothing_of_the_network_and_runs_nothing_of_its_data", hostile),
        ("a_report_fits_desktop_phone_and_paper", fits),
        ("a_large_report_is_usable", large),
        ("ui_serves_a_large_run", large_run),
        ("ui_lists_follows_and_compares_runs", live),
        ("ui_asks_people_by_keys", asked),
        ("ui_talks_with_a_network_beside_its_parent", talked),
    ];
    let trial = |(name, test): &(&str, fn())| {
        let test = *test;
        Trial::test(*name, move || {
            test();
            Ok::<(), Failed>(())
        })
        .with_ignored_flag(!there)
    };
    libtest_mimic::run(&Arguments::from_args(), tests.iter().map(trial).collect()).exit();
}

/// Numbers that look like chance and are always the same.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).expect("31 bits")) / f64::from(1_u32 << 31)
    }

    fn list(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.next()).collect()
    }
}

/// What `gather` gives, made up: `points` numbers in curves, `samples` prompts, and `text` wherever a run holds text.
fn data(points: usize, samples: usize, text: &str) -> Value {
    let mut dice = Dice(7);
    let stage = |name: &str, primitive: &str, line: usize, inputs: Value, values: Value| {
        json!({ "name": name, "primitive": primitive, "state": "made", "seconds": 1.5, "seed": 0, "fingerprint": "0123456789abcdef0123456789abcdef",
            "at": { "file": "a.align", "line": line, "last": line }, "inputs": inputs, "args": { "lr": "0.001", "note": text }, "values": values, "samples": {} })
    };
    let estimate = json!({ "mean": 0.6, "n": 100, "lower95": 0.5, "upper95": 0.7 });
    // three rates for two kinds, of which the last has not been made
    let round = |index: usize| {
        let (lr, kind, made) = ([1e-4, 1e-3, 1e-2][index / 2], [text, "b"][index % 2], index < 5);
        let (loss, gold) = ([0.6, 0.7, 0.4, 0.5, 0.2][index.min(4)], [0.5, 0.9, 0.7, 0.8, 0.6][index.min(4)]);
        let numbers = json!([{ "mean": gold, "n": 100, "lower95": gold - 0.1, "upper95": gold + 0.1 }, loss]);
        let numbers = if made { numbers } else { json!([null, null]) };
        json!({ "index": index, "values": [lr, kind], "state": if made { "made" } else { "skipped" }, "kept": index == 4, "numbers": numbers })
    };
    let rounds: Vec<Value> = (0..6).map(round).collect();
    let stages = json!([
        stage("base", "load_model", 2, json!({}), json!({})),
        stage("policy.critic", "critic", 3, json!({ "network": "base" }), json!({})),
        stage("policy", "train", 3, json!({ "network": "base", "critic": "policy.critic" }), json!({ "accuracy": estimate })),
        stage("before.measure", "measure", 4, json!({ "data": "base" }), json!({ "gold": estimate })),
        stage("after.measure", "measure", 5, json!({ "data": "policy" }), json!({ "gold": estimate })),
    ]);
    let part = |name: &str, needs: &[usize]| Part {
        name: name.into(),
        primitive: "train".into(),
        class: "made".into(),
        needs: needs.to_vec(),
        ..Part::default()
    };
    let parts = [
        part("base", &[]),
        part("policy.critic", &[0]),
        part("policy", &[0, 1]),
        part("before.measure", &[0]),
        part("after.measure", &[2]),
    ];
    let each = (points / 10).max(2);
    let mut series = serde_json::Map::new();
    for name in ["loss", "reward", "kl", "length", "accuracy", "grad_norm", "m1", "m2"] {
        series.insert(name.into(), json!(dice.list(each)));
    }
    series.insert("kl.lower95".into(), json!(vec![-0.5; each]));
    series.insert("kl.upper95".into(), json!(vec![1.5; each]));
    let pieces = |at: usize| vec![" Once".to_owned(), " upon".to_owned(), format!(" {at}"), format!(" {text}")];
    let cells: Vec<Value> = (0..samples)
        .map(|at| json!({ "row": at, "text": pieces(at).concat(), "pieces": pieces(at), "logp": dice.list(4), "before": dice.list(4) }))
        .collect();
    let prompts: Vec<String> = (0..samples).map(|at| format!("prompt number {at} {text}")).collect();
    let column = |network: &str, from: Option<&str>| json!({ "stage": "told", "column": "completion", "network": network, "from": from, "seed": 0, "cells": cells });
    let attack = |who: &str, every: usize| {
        json!({ "stage": format!("{who}.found.each"), "metric": "success", "share": true, "card": "{\"definition\":\"gloom\"}", "data": "rows", "estimate": estimate, "network": who,
            "values": (0..80).map(|at| u8::from(at % every == 0)).collect::<Vec<_>>(), "prompts": (0..80).map(|at| format!("p{}", at / 2)).collect::<Vec<_>>(),
            "items": (0..80).map(|at| at % 2).collect::<Vec<_>>(),
            "labels": { "technique": { "names": ["plain", "role"], "of": (0..80).map(|at| at / 2 % 2).collect::<Vec<_>>() }, "category": { "names": ["a", "b"], "of": (0..80).map(|at| at / 4 % 2).collect::<Vec<_>>() } },
            "shown": (0..20).map(|at| json!({ "row": at, "prompt": "who", "harm": 1.0 - 0.01 * f64::from(at), "item": 0, "value": 1, "text": format!("bad {who} {at} {text}") })).collect::<Vec<_>>() })
    };
    let said = dice.list(300);
    json!({
        "run": { "id": "2026-01-01T00-00-00Z-a", "recipe": "a", "title": format!("A title {text}"), "started": "2026-01-01T00:00:00Z", "seconds": 12.0, "device": "cpu", "because": "asked", "tally": {}, "exit": 0, "live": false, "previous": null },
        "plan": { "align": "0.1.0", "sources": [{ "name": "a.align", "text": format!("recipe a {{\n    base = load_model(\"m\")\n    policy = train(base) // {text}\n    before = 1\n    after = 2\n}}\n") }], "licences": { "m": ["LICENSE: MIT"] } },
        "graph": draw(&Sketch::condensed("a", &parts), Picture::Svg),
        "stages": stages,
        "curves": [{ "stage": "policy", "run": null, "steps": (1..=each).collect::<Vec<_>>(), "series": series }],
        "details": [
            { "of": "rows", "stage": "before.measure", "metrics": { "gold": { "n": 300, "values": said, "share": false } } },
            { "of": "rows", "stage": "after.measure", "metrics": { "gold": { "n": 300, "values": dice.list(300), "share": false } } },
            { "of": "eval", "stage": "policy", "metrics": { "ece": { "n": 1, "values": [0.1], "share": false, "pairs": [said, said.iter().map(|p| f64::from(u8::from(*p > 0.4))).collect::<Vec<_>>()] } } },
        ],
        "samples": [{ "of": samples, "prompts": prompts, "columns": [column("base", None), column("policy", Some("base"))] }],
        "attacks": [attack("harm_base", 2), attack("harm_policy", 8)],
        "expectations": [{ "text": "after.gold > 0.5", "message": text, "holds": true, "sides": [estimate, 0.5] }, { "text": "policy.kl < 1", "holds": false, "sides": [2.0, 1.0] }],
        "figures": [{ "stage": "shown", "title": "gold against distance", "kind": "line", "x": { "label": "d" }, "y": { "label": "gold" }, "series": [{ "name": "run", "points": [[0, 0, -0.1, 0.1], [1, 0.5, 0.4, 0.6]] }] }],
        "loops": [{ "loop": "rates", "axes": ["lr", "kind"], "columns": ["seen.gold", "policy.loss"], "measured": 1, "rounds": rounds }],
        "warnings": [], "exports": [], "failures": [],
        "files": { "m": { "bytes": 4096, "blake3": "aa" } },
    })
}

fn opened(data: &Value, width: u32) -> (Page, tempfile::TempDir, std::time::Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.html");
    fs::write(&path, report::page(data)).expect("written");
    let mut page = Page::open(width, 900);
    let took = page.go(&format!("file://{}", path.display()), "document.querySelector('#provenance')");
    (page, folder, took)
}

fn used() {
    let (mut page, _folder, _) = opened(&data(400, 30, "once"), 1280);
    for section in [
        "expectations",
        "results",
        "loops",
        "graph",
        "training",
        "distributions",
        "calibration",
        "figures",
        "samples",
        "redteam",
        "recipe",
        "provenance",
    ] {
        assert_eq!(page.eval(&format!("document.querySelectorAll('section#{section} svg, section#{section} table, section#{section} li, section#{section} .sample, section#{section} .l').length > 0")), true, "{section}");
    }
    page.click("#only-broken");
    assert_eq!(page.eval("[...document.querySelectorAll('.expectations li')].filter(l => !l.hidden).length"), 1);
    page.click("#all-numbers");
    assert_eq!(page.eval("document.querySelectorAll('.quiet[hidden]').length"), 0);

    // a sweep: the best of each column, what was kept, and its curves read off by keys
    let cells = |class: &str| format!("[...document.querySelectorAll('#loops {class}')].map(c => c.textContent)");
    assert_eq!(page.eval(&cells("td.best")), json!(["0.9 [0.8, 1]", "0.2"]), "the highest gold, the lowest loss");
    assert_eq!(
        page.eval("[...document.querySelectorAll('#loops tr.kept td')].slice(0, 3).map(c => c.textContent)"),
        json!(["0.01", "once", "kept"])
    );
    assert_eq!(page.eval(&cells("tbody td[colspan]")), json!(["not made"]));
    assert_eq!(page.eval("document.querySelectorAll('#loops .plot').length"), 2);
    page.eval("document.querySelector('#loops .plot').focus()");
    page.key("ArrowRight");
    page.key("ArrowRight");
    assert_eq!(page.eval("document.querySelector('#loops .plot .now').textContent"), "kind once 0.7  kind b 0.8  · lr 0.001");

    // samples: filtered by typing, coloured by change
    page.key("/");
    page.write("number 17");
    page.until("document.querySelectorAll('.sample').length === 1");
    assert_eq!(page.eval("document.querySelectorAll('.sample .cell').length"), 2);
    assert_eq!(page.eval("document.querySelectorAll('.sample .cell:nth-child(2) .t[style*=background]').length > 0"), true);
    page.eval("document.activeElement.blur()");

    // worst cases of one target, opened, with the command that replays one
    page.eval(
        "(() => { const s = document.querySelector('#worst-target'); s.value = 'harm_base'; s.dispatchEvent(new Event('change')); })()",
    );
    assert_eq!(page.eval("[...document.querySelectorAll('.worst')].every(w => w.textContent.includes('harm_base'))"), true);
    page.click(".worst summary");
    assert_eq!(page.eval("document.querySelector('.worst').open && document.querySelector('.worst .replay').textContent.startsWith('align score harm_base --from ')"), true);
    assert_eq!(page.eval("document.querySelectorAll('#redteam .heat td.cell').length"), 4);

    // a box of the graph shows what its stages were given, and its line
    page.click("#graph .block[data-name=policy]");
    page.until("document.querySelector('#graph .stage-box')");
    assert_eq!(page.eval("document.querySelector('.stage-box').textContent.includes('0.001') && document.querySelector('.l.here').textContent.includes('policy')"), true);
    page.key("Escape");
    page.until("!document.querySelector('.stage-box')");

    // keys: sections, a curve step by step in all panels of a stage, light and dark, help
    page.eval("scrollTo(0, 0)");
    page.key("j");
    page.key("j");
    assert_eq!(page.eval("document.activeElement.id"), "figures");
    page.eval("document.querySelector('.training .plot').focus()");
    page.key("ArrowRight");
    page.key("ArrowRight");
    assert_eq!(
        page.eval("[...document.querySelectorAll('.training .hair')].filter(h => h.getAttribute('visibility') === 'visible').length > 5"),
        true
    );
    let dark = "getComputedStyle(document.body).backgroundColor";
    let before = page.eval(dark);
    page.eval("document.activeElement.blur()");
    page.key("t");
    assert_ne!(page.eval(dark), before);
    page.key("?");
    page.until("document.querySelector('dialog[open]')");
    assert_eq!(page.wrong, Vec::<String>::new());
}

fn hostile() {
    let text =
        "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'><svg onload='window.pwned = 1'>\u{2028}${1}";
    let (mut page, _folder, _) = opened(&data(40, 3, text), 1280);
    page.click("#graph .block[data-name=policy]");
    page.click(".worst summary");
    assert_eq!(page.eval("window.pwned === undefined && document.querySelectorAll('main img').length === 0"), true);
    assert_eq!(page.eval("document.querySelector('.worst blockquote').textContent.includes('onerror')"), true, "it is shown as text");
    // a script that tries to reach out is refused by the page's own policy
    assert_eq!(page.eval("fetch('http://127.0.0.1:9/').then(() => 'reached', () => 'refused')"), "refused");
    let outside: Vec<&String> =
        page.asked.iter().filter(|address| !address.starts_with("file://") && !address.starts_with("http://127.0.0.1:9")).collect();
    assert!(outside.is_empty() && page.asked.iter().filter(|a| a.starts_with("file://")).count() == 1, "{:?}", page.asked);
    page.wrong.retain(|wrong| !wrong.contains("127.0.0.1:9"));
    assert_eq!(page.wrong, Vec::<String>::new());
}

fn fits() {
    let (mut page, folder, _) = opened(&data(400, 30, "once"), 1280);
    for width in [1280, 768, 390, 320] {
        page.size(width, 844);
        for scheme in ["light", "dark"] {
            page.scheme(scheme);
            let wide = page.eval("document.documentElement.scrollWidth").as_u64().expect("pixels");
            assert!(wide <= u64::from(width), "{wide} pixels of {width}, {scheme}");
            // WCAG's contrast of text and of quiet text
            for name in ["--ink", "--mute"] {
                let contrast = page.eval(&format!("(() => {{ const l = c => {{ const e = document.createElement('i'); e.style.color = c; document.body.append(e); const v = getComputedStyle(e).color.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); e.remove(); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; }}; const [a, b] = [l('var({name})'), l('var(--paper)')].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); }})()"));
                assert!(contrast.as_f64().expect("a number") > 4.5, "{name} {scheme}: {contrast}");
            }
        }
    }
    let pdf = page.call("Page.printToPDF", json!({ "printBackground": true, "preferCSSPageSize": true }));
    assert!(pdf["data"].as_str().expect("a document").len() > 40_000);
    assert_eq!(page.wrong, Vec::<String>::new());
    drop(folder);
}

/// How the page moves while it is scrolled for two seconds.
fn frames(page: &mut Page) -> String {
    let found = page.eval(
        "new Promise(done => { let n = 0, worst = 0, last = performance.now(), start = last; const go = now => { worst = Math.max(worst, now - last); last = now; scrollBy(0, 60); n++; if (now - start < 2000) requestAnimationFrame(go); else done([n / (now - start) * 1000, worst]); }; requestAnimationFrame(go); })",
    );
    let [a_second, longest] = [0, 1].map(|at| found[at].as_f64().expect("a number"));
    format!("{a_second:.0} frames a second, the longest {longest:.0} ms")
}

#[expect(clippy::print_stdout, reason = "how long it took is told, not judged")]
fn large() {
    let data = data(100_000, 1000, "once");
    let begun = Instant::now();
    let size = report::page(&data).len();
    let written = begun.elapsed();
    let (mut page, _folder, took) = opened(&data, 1280);
    let frames = frames(&mut page);
    let begun = Instant::now();
    page.eval(
        "(() => { const f = document.querySelector('#sample-filter'); f.value = 'number 99'; f.dispatchEvent(new Event('input')); })()",
    );
    page.until("document.querySelectorAll('.sample').length === 11");
    println!("{size} bytes assembled in {written:?}; usable after {took:?}; {frames}; filtered in {:?}", begun.elapsed());
    assert!(size < 8 << 20, "{size} bytes");
    assert!(page.eval("document.getElementsByTagName('*').length").as_u64().expect("a count") < 20_000);
    assert_eq!(page.wrong, Vec::<String>::new());
}

/// A run as it is written down.
fn record(store: &Path, name: &str, accuracy: f64, ended: bool) {
    let folder = store.join("runs").join(name);
    fs::create_dir_all(&folder).expect("made");
    let events = [
        json!({ "event": "started", "recipe": "a", "title": "A title", "device": "cpu", "because": "asked", "stages": 1, "cached": 0, "time": 0.0 }),
        json!({ "event": "running", "stage": "policy", "primitive": "train", "resume": null, "time": 0.1 }),
    ];
    fs::write(folder.join("events.jsonl"), events.iter().map(|e| format!("{e}\n")).collect::<String>()).expect("written");
    fs::write(
        folder.join("metrics.jsonl"),
        (1..5)
            .map(|step| format!("{}\n", json!({ "stage": "policy", "step": step, "time": step, "loss": 1.0 / f64::from(step) })))
            .collect::<String>(),
    )
    .expect("written");
    let stage = json!({ "name": "policy", "primitive": "train", "fingerprint": "00", "seed": 0, "inputs": {}, "args": {}, "at": { "line": 2, "file": "a.align" } });
    fs::write(folder.join("plan.json"), json!({ "align": "0.1.0", "stages": [stage], "expectations": [], "sources": [{ "name": "a.align", "text": "recipe a {\n    policy = 1\n}" }], "files": {} }).to_string()).expect("written");
    if ended {
        let values = json!({ "accuracy": { "mean": accuracy, "n": 100, "lower95": accuracy - 0.05, "upper95": accuracy + 0.05 } });
        fs::write(folder.join("summary.json"), json!({ "started": "2026-01-01T00:00:00Z", "seconds": 4.0, "exit": 0, "tally": {}, "stages": [{ "name": "policy", "state": "made", "fingerprint": "00", "values": values }] }).to_string()).expect("written");
    }
}

/// A large run as its files: gathered, written, and served.
#[expect(clippy::print_stdout, reason = "how long it took is told, not judged")]
fn large_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, name) = (folder.path().join(".align"), "2026-01-01T00-00-00Z-a");
    record(&store, name, 0.6, true);
    let (run, made) = (store.join("runs").join(name), data(100_000, 1000, "once"));
    let curve = &made["curves"][0];
    let steps = curve["steps"].as_array().expect("steps");
    let line = |(at, step): (usize, &Value)| {
        let mut line = json!({ "stage": "policy", "step": step, "time": step });
        curve["series"].as_object().expect("series").iter().for_each(|(name, values)| line[name] = values[at].clone());
        format!("{line}\n")
    };
    fs::write(run.join("metrics.jsonl"), steps.iter().enumerate().map(line).collect::<String>()).expect("written");
    fs::write(run.join("samples.json"), made["samples"].to_string()).expect("written");
    let begun = Instant::now();
    let size = report::write(&store, &run).expect("a report").metadata().expect("a file").len();
    let written = begun.elapsed();
    let server = Server::new(&store, 0, spoken::engine(), Raters::default()).expect("a port");
    let (address, stop) = (server.address(), server.stopper());
    let serving = std::thread::spawn(move || server.serve());
    let mut page = Page::open(1280, 900);
    let listed = page.go(&address, "document.querySelector('.runs tbody tr')");
    let base = address.split("/?").next().expect("an address").to_owned();
    let usable = page.go(&format!("{base}/run/{name}"), "document.querySelectorAll('.sample').length > 10");
    println!(
        "{} lines: report of {size} bytes written in {written:?}; listed after {listed:?}, usable after {usable:?}; {}",
        steps.len(),
        frames(&mut page)
    );
    assert!(size < 8 << 20, "{size} bytes");
    assert_eq!(page.eval("window.current.curves[0].steps.length"), steps.len());
    assert_eq!(page.wrong, Vec::<String>::new());
    stop.store(true, Ordering::Relaxed);
    serving.join().expect("no panic").expect("served");
}

fn live() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join(".align");
    record(&store, "2026-01-01T00-00-00Z-a", 0.6, true);
    record(&store, "2026-01-02T00-00-00Z-a", 0.8, true);
    record(&store, "2026-01-03T00-00-00Z-a", 0.9, false);
    let server = Server::new(&store, 0, spoken::engine(), Raters::default()).expect("a port");
    let (address, stop) = (server.address(), server.stopper());
    let serving = std::thread::spawn(move || server.serve());
    let mut page = Page::open(1280, 900);
    page.go(&address, "document.querySelectorAll('.runs tbody tr').length === 3");
    assert_eq!(page.eval("location.search"), "", "the token is not left in the address");
    assert_eq!(page.eval("document.querySelector('.runs tbody tr').textContent.includes('running')"), true, "the newest is first");
    page.eval("document.querySelectorAll('.runs tbody input').forEach((box, at) => { if (at > 0) box.click(); })");
    page.click("#compare");
    page.until("location.pathname.startsWith('/compare/') && document.querySelector('#changes td')");
    assert_eq!(page.eval("document.querySelector('#changes').textContent.includes('policy.accuracy')"), true);
    assert_eq!(page.eval("document.querySelectorAll('#training svg').length > 0"), true);

    // a run that goes on: a new step is drawn without anybody asking
    let base = address.split("/?").next().expect("an address").to_owned();
    page.go(&format!("{base}/run/2026-01-03T00-00-00Z-a"), "document.querySelector('#training svg')");
    let run = store.join("runs/2026-01-03T00-00-00Z-a");
    let mut metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("there");
    metrics += &format!("{}\n", json!({ "stage": "policy", "step": 5, "time": 5, "loss": 0.125 }));
    fs::write(run.join("metrics.jsonl"), metrics).expect("written");
    page.until("[...document.querySelectorAll('#training .now')].some(n => n.textContent === '0.125')");
    assert_eq!(page.wrong, Vec::<String>::new());
    stop.store(true, Ordering::Relaxed);
    serving.join().expect("no panic").expect("served");
}

/// Questions are answered with digits, put off with `s`, and shown as text whatever they hold.
fn asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let sheet = folder.path().join("people.jsonl");
    let queue = json!({ "answers": ["yes", "no"], "raters": 1, "questions": ["<b>a</b>\nkind?", "b kind?", "c kind?"] });
    fs::write(folder.path().join("people.jsonl.queue"), queue.to_string()).expect("written");
    let raters = Raters { sheets: vec![sheet.clone()], name: "ann".into() };
    let server = Server::new(&folder.path().join(".align"), 0, spoken::engine(), raters).expect("a port");
    let (address, stop) = (server.address(), server.stopper());
    let serving = std::thread::spawn(move || server.serve());
    let mut page = Page::open(1280, 900);
    page.go(&address, "document.querySelector('.sheet a')");
    assert_eq!(page.eval("document.querySelector('.sheet').textContent"), "people.jsonl asks you 3 questions");
    page.click(".sheet a");
    page.until("document.querySelector('#question')?.textContent === '<b>a</b>\\nkind?'");
    page.key("2");
    page.until("document.querySelector('#question').textContent === 'b kind?'");
    page.key("3");
    page.key("s");
    page.until("document.querySelector('#question').textContent === 'c kind?'");
    page.click(".answers button");
    page.until("document.querySelector('#question').textContent === 'b kind?'");
    assert_eq!(page.eval("document.querySelector('#state').textContent"), "2 answered, 1 left");
    page.key("1");
    page.until("document.querySelector('.answers').hidden");
    let lines = fs::read_to_string(&sheet).expect("a sheet");
    let said: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let wanted = [("<b>a</b>\nkind?", "no"), ("c kind?", "yes"), ("b kind?", "yes")];
    assert_eq!(said, wanted.map(|(question, answer)| json!({ "question": question, "answer": answer, "rater": "ann" })));
    page.key("h");
    page.until("document.querySelector('.sheet')?.textContent === 'people.jsonl asks nothing'");
    assert_eq!(page.wrong, Vec::<String>::new());
    stop.store(true, Ordering::Relaxed);
    serving.join().expect("no panic").expect("served");
}

/// A dialogue by keys: two networks answer side by side, Esc stops, what is typed alone is a command.
fn talked() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = spoken::made(folder.path());
    let server = Server::new(&folder.path().join(".align"), 0, spoken::engine(), Raters::default()).expect("a port");
    let (address, stop) = (server.address(), server.stopper());
    let serving = std::thread::spawn(move || server.serve());
    let mut page = Page::open(1280, 900);
    page.go(&address, "document.querySelector('.runs tbody a')");
    page.click(".runs tbody a");
    page.until("document.querySelector('#graph .block[data-name=tuned]')");
    page.click("#graph .block[data-name=tuned]");
    page.click(".stage-box a.talk");
    page.until("document.activeElement?.id === 'say'");
    assert_eq!(page.eval("[...document.querySelectorAll('.heads h3')].map(h => h.textContent)"), json!(["base its parent", "tuned"]));
    assert_eq!(page.eval("document.querySelectorAll('.heads')[0].textContent.includes('no chat template: it continues the text')"), true);

    page.eval("document.querySelector('#max-tokens').value = 12");
    let whole = |n: usize| format!("document.querySelectorAll('.turn').length === {n} && !document.querySelector('#send').disabled");
    let said = "[...document.querySelectorAll('.turn:last-child .said')].map(s => s.textContent)";
    page.write("Once upon");
    page.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": "Enter", "text": "\r", "modifiers": 8 }));
    page.write(" a time");
    page.enter();
    page.until(&whole(1));
    assert_eq!(page.eval("document.querySelector('.turn .user').textContent"), "Once upon\n a time");
    let first = page.eval(said);
    assert!(first[0].as_str().is_some_and(|text| text.len() > 8) && first[1].as_str().is_some_and(|text| text.len() > 8), "{first}");
    assert!(page.eval("document.querySelector('.turn .note').textContent").as_str().is_some_and(|note| note.starts_with("12 tokens in ")));
    page.write("/again");
    page.enter();
    page.until(&format!("{} && JSON.stringify({said}) !== {}", whole(1), json!(first.to_string())));
    assert_eq!(page.eval("document.querySelector('#seed').value"), "1");
    page.write("<b>Then</b> h");
    page.enter();
    page.until(&whole(2));
    assert_eq!(page.eval("document.querySelector('.turn:last-child .user').textContent"), "<b>Then</b> h");
    for (typed, left) in [("/undo", 1), ("/clear", 0)] {
        page.write(typed);
        page.enter();
        page.until(&whole(left));
    }
    page.write("/what");
    page.enter();
    page.until("document.querySelector('#state').textContent === '/what is no command.'");
    page.write("/system Be kind.");
    page.enter();
    page.until("document.querySelector('#system').value === 'Be kind.'");

    // a template that takes no system prompt says so, and what was typed is not lost
    let base = address.split("/?").next().expect("an address").to_owned();
    page.go(&format!("{base}/chat/{run}/chatty"), "document.activeElement?.id === 'say'");
    page.eval("document.querySelector('#system').value = 'Be kind.'");
    page.write("Tim");
    page.enter();
    page.until("document.querySelector('.turn .note.bad')?.textContent.includes('no system prompt')");
    page.until("document.querySelector('#say').value === 'Tim'");

    // a slow one grows token by token and is stopped
    page.go(&format!("{base}/chat/{run}/slow"), "document.activeElement?.id === 'say'");
    assert_eq!(page.eval("document.querySelectorAll('.heads h3').length"), 1, "what was loaded has no parent");
    page.eval("document.querySelector('#max-tokens').value = 1500");
    page.write("w5 w6");
    page.enter();
    page.until("document.querySelector('.said')?.textContent.length > 40");
    let some = page.eval("document.querySelector('.said').textContent.length").as_u64().expect("a length");
    page.until(&format!("document.querySelector('.said').textContent.length > {some}"));
    page.key("Escape");
    page.until("document.querySelector('.note').textContent === 'seed 0 · stopped' && !document.querySelector('#send').disabled");
    let cut = page.eval("document.querySelector('.said').textContent");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(page.eval("document.querySelector('.said').textContent"), cut);
    page.write("w7");
    page.eval("document.querySelector('#max-tokens').value = 3");
    page.enter();
    page.until("document.querySelector('.turn:last-child .note').textContent.startsWith('3 tokens in ')");
    assert_eq!(page.wrong, Vec::<String>::new());
    stop.store(true, Ordering::Relaxed);
    serving.join().expect("no panic").expect("served");
}
