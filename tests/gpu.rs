//! Every op on the `gpu` device against its oracle in f64: each case, both passes, random upstream gradients, gradients
//! set and added to, and the same bits twice. Without an adapter the trials show as ignored; in CI that is a failure.

mod op_check;

use align::engine::gpu::{Choice, Gpu, KNOBS, Tuning};
use align::engine::op::rms_norm::Params;
use align::engine::op::{Case, Given, Op};
use align::engine::oracle::OracleDevice;
use align::engine::{Arena, Device, EngineError, Gradients, OPS, Precision, Recorder, Recording, View, backward};
use libtest_mimic::{Arguments, Failed, Trial};

/// Every threshold so low that small cases take every path.
const STRAINED: Tuning =
    Tuning { enough_tiles: 1, few_queries: 0, head_groups: 3, head_chunk: 64 * 128, binding_words: 64 * 40, ..Tuning::GPU };

/// 64 x 64 tiles, split along their depth whenever they can be.
const SPLIT: Tuning = Tuning { least_slice: 16, few_queries: 0, vectors: false, ..Tuning::GPU };

fn main() {
    let arguments = Arguments::from_args();
    let missing = Gpu::open(Choice::Software).err();
    if let (Some(error), Ok(_)) = (&missing, std::env::var("CI")) {
        panic!("CI needs an adapter: {error}");
    }
    let mut trials = Vec::new();
    for op in OPS {
        for (name, tuning) in [("gpu", Tuning::GPU), ("software", Tuning::SOFTWARE), ("split", SPLIT), ("strained", STRAINED)] {
            trials.push(trial(format!("{}::{name}", op.name()), move || check(*op, tuning, Placed::Apart)));
        }
        let trial_name = format!("{}::one_buffer", op.name());
        trials.push(trial(trial_name, move || check(*op, Tuning::GPU, Placed::OneBuffer)));
    }
    trials.push(trial("each_gradient_alone".to_owned(), alone));
    trials.push(trial("grids_beyond_one_dimension".to_owned(), wide_grids));
    trials.push(trial("a_buffer_beyond_the_limits_is_an_error".to_owned(), too_large));
    trials.push(trial("a_weight_beyond_the_limits_is_taken_in_runs".to_owned(), beyond_a_binding));
    trials.push(trial("a_binding_beyond_the_limits_is_an_error".to_owned(), too_large_to_bind));
    trials.push(trial("a_lost_device_is_an_error".to_owned(), lost));
    let units = missing.is_none() && Gpu::open(Choice::Software).and_then(|mut gpu| gpu.has_matrix_units()).is_ok_and(|has| has);
    trials
        .push(trial("halves_are_read_while_weights_are_frozen".to_owned(), || halves(Tuning { cooperative: false, ..Tuning::GPU }, 2e-6)));
    trials.push(trial("halves_are_taken_in_runs".to_owned(), || halves(Tuning { cooperative: false, ..STRAINED }, 2e-6)));
    // x is one half or two, as the driver keeps subnormal ones: a half is off by 5e-4
    let by_units = || [Tuning::GPU, SPLIT, STRAINED].into_iter().try_for_each(|tuning| halves(tuning, 5e-4));
    trials.push(trial("halves_by_matrix_units".to_owned(), by_units).with_ignored_flag(!units));
    trials.push(trial("what_a_driver_compiled_is_kept".to_owned(), compiled));
    trials.push(trial("tuning_chooses_keeps_and_is_read_again".to_owned(), tuned));
    let trials = if missing.is_some() { trials.into_iter().map(|trial| trial.with_ignored_flag(true)).collect() } else { trials };
    libtest_mimic::run(&arguments, trials).exit();
}

fn alone() -> Result<(), String> {
    for tuning in [Tuning::GPU, STRAINED] {
        op_check::alone(&mut Gpu::open_with(Choice::Software, tuning).map_err(|error| error.to_string())?);
    }
    Ok(())
}

fn trial(name: String, run: impl FnOnce() -> Result<(), String> + Send + 'static) -> Trial {
    Trial::test(name, move || run().map_err(Failed::from))
}

/// Where a case's inputs lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Placed {
    Apart,
    /// All in one buffer, at odd offsets.
    OneBuffer,
}

/// The numbers that a case left: outputs and gradients, with names for messages.
type Outcome = Vec<(String, Vec<f32>)>;

fn check(op: &dyn Op, tuning: Tuning, placed: Placed) -> Result<(), String> {
    let mut gpu = Gpu::open_with(Choice::Software, tuning).map_err(|error| error.to_string())?;
    for case in op.cases() {
        let at = |error: EngineError| format!("{}: {error}", case.name);
        let found = outcome(&mut gpu, op, &case, placed).map_err(at)?;
        let again = outcome(&mut gpu, op, &case, placed).map_err(at)?;
        let wanted = outcome(&mut OracleDevice::<f64>::new(), op, &case, placed).map_err(at)?;
        for ((what, found), (_, again)) in found.iter().zip(&again) {
            let same = found.iter().map(|x| x.to_bits()).eq(again.iter().map(|x| x.to_bits()));
            same.then_some(()).ok_or(format!("{}: {what} differs between two runs", case.name))?;
        }
        for ((what, found), (_, wanted)) in found.iter().zip(&wanted) {
            near(found, wanted, op.tolerance()).map_err(|by| format!("{}: {what} {by}", case.name))?;
        }
    }
    Ok(())
}

fn near(found: &[f32], wanted: &[f32], tolerance: f32) -> Result<(), String> {
    assert_eq!(found.len(), wanted.len());
    let most = wanted.iter().fold(0f32, |most, x| most.max(x.abs()));
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let within = (found - wanted).abs() <= tolerance * (1.0 + most);
        within.then_some(()).ok_or(format!("[{at}] is {found}, not {wanted}"))?;
    }
    Ok(())
}

/// Runs a case twice, forward and backward, so that gradients are first set and then added to.
fn outcome(device: &mut dyn Device, op: &dyn Op, case: &Case, placed: Placed) -> Result<Outcome, EngineError> {
    let mut random = Random(7);
    let views = place(device, &case.given, placed, &mut random)?;
    let mut arena = Arena::new();
    let mut found = Outcome::new();
    let mut gradients = Gradients::new();
    let mut targets = Vec::new();
    if op.differentiable() {
        targets = leaves(device, &case.given, &views, &mut gradients)?;
    }
    for round in ["first", "second"].iter().take(if op.differentiable() { 2 } else { 1 }) {
        arena.reset();
        let (recording, outputs) = record(device, &mut arena, case, &views)?;
        device.run(&recording)?;
        for (at, output) in outputs.iter().enumerate() {
            found.push((format!("{round} output {at}"), device.read_f32(*output)?));
        }
        if op.differentiable() {
            derive(device, &mut arena, &recording, &outputs, &mut gradients, &mut random)?;
            for (at, target) in targets.iter().filter(|(_, target)| gradients.unreached().all(|view| view != *target)) {
                found.push((format!("{round} gradient {at}"), device.read_f32(*target)?));
            }
            gradients.forget();
        }
    }
    arena.clear(device);
    Ok(found)
}

fn place(device: &mut dyn Device, given: &[Given], placed: Placed, random: &mut Random) -> Result<Vec<View>, EngineError> {
    let shape = |given: &Given| match given {
        Given::Normal(rows, cols) | Given::Positive(rows, cols) | Given::Numbers(_, rows, cols) | Given::Words(_, rows, cols) => {
            (*rows, *cols)
        }
    };
    let total: usize = given.iter().map(shape).map(|(rows, cols)| rows * cols + 1).sum();
    let shared = device.alloc(total)?;
    let mut offset = 1;
    let mut views = Vec::new();
    for one in given {
        let (rows, cols) = shape(one);
        let mut view = View { buffer: shared, offset, rows, cols };
        offset += rows * cols + 1;
        if placed == Placed::Apart {
            view = View::new(device.alloc(rows * cols)?, rows, cols);
        }
        match one {
            Given::Normal(..) => device.write_f32(view, &random.normals(rows * cols))?,
            Given::Positive(..) => {
                let numbers: Vec<f32> = random.normals(rows * cols).iter().map(|x| x.abs() + 0.1).collect();
                device.write_f32(view, &numbers)?;
            }
            Given::Numbers(numbers, ..) => device.write_f32(view, numbers)?,
            Given::Words(words, ..) => device.write_u32(view, words)?,
        }
        views.push(view);
    }
    Ok(views)
}

/// A gradient for every input that the op is differentiated by.
fn leaves(device: &mut dyn Device, given: &[Given], views: &[View], gradients: &mut Gradients) -> Result<Vec<(usize, View)>, EngineError> {
    let mut targets = Vec::new();
    for (at, view) in views.iter().enumerate().filter(|(at, _)| matches!(given[*at], Given::Normal(..))) {
        let target = View::new(device.alloc(view.words())?, view.rows, view.cols);
        gradients.leaf(*view, target);
        targets.push((at, target));
    }
    Ok(targets)
}

fn record(device: &mut dyn Device, arena: &mut Arena, case: &Case, views: &[View]) -> Result<(Recording, Vec<View>), EngineError> {
    let mut recorder = Recorder::new(device, arena);
    let outputs = (case.record)(&mut recorder, views);
    Ok((recorder.finish()?, outputs))
}

fn derive(
    device: &mut dyn Device,
    arena: &mut Arena,
    forward: &Recording,
    outputs: &[View],
    gradients: &mut Gradients,
    random: &mut Random,
) -> Result<(), EngineError> {
    let mut recorder = Recorder::new(device, arena);
    for output in outputs {
        let upstream = recorder.upload_f32(&random.normals(output.words()), output.rows, output.cols);
        gradients.seed(*output, upstream);
    }
    backward(&mut recorder, forward, gradients);
    let recording = recorder.finish()?;
    device.run(&recording)
}

/// Seventeen million elements need more workgroups than one dimension has.
fn wide_grids() -> Result<(), String> {
    let mut gpu = Gpu::open(Choice::Software).map_err(|error| error.to_string())?;
    let run = |gpu: &mut Gpu| -> Result<Vec<f32>, EngineError> {
        let (rows, cols) = (17_001, 1_003);
        let view = View::new(gpu.alloc(rows * cols)?, rows, cols);
        let mut arena = Arena::new();
        let mut recorder = Recorder::new(gpu, &mut arena);
        recorder.fill(view, 1.5);
        let recording = recorder.finish()?;
        gpu.run(&recording)?;
        gpu.read_f32(view)
    };
    let found = run(&mut gpu).map_err(|error| error.to_string())?;
    found.iter().all(|x| *x == 1.5).then_some(()).ok_or("some elements were not filled".to_owned())
}

fn too_large() -> Result<(), String> {
    let mut gpu = Gpu::open(Choice::Software).map_err(|error| error.to_string())?;
    match gpu.alloc(1 << 40) {
        Err(EngineError::OutOfMemory { requested, .. }) if requested == 1 << 42 => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// A weight of more than this adapter binds at once: its moments, its squared norm and its rows are taken in runs.
fn beyond_a_binding() -> Result<(), String> {
    let mut gpu = Gpu::open(Choice::Software).map_err(|error| error.to_string())?;
    let (rows, cols): (usize, usize) = (5 << 13, 1 << 10);
    let picked = [0, 40_000, u32::try_from(rows).map_err(|error| error.to_string())? - 1];
    let mut run = || -> Result<(Vec<f32>, f32), EngineError> {
        let weight = View::new(gpu.alloc(rows * cols)?, rows, cols);
        for (value, row) in (1..).zip(picked) {
            let row = row as usize;
            gpu.write_f32(weight.row_range(row, row + 1), &vec![value as f32; cols])?;
        }
        let mut arena = Arena::new();
        let mut recorder = Recorder::new(&mut gpu, &mut arena);
        let ids = recorder.indices(&picked);
        let found = recorder.embed(ids, weight, 1.0);
        let norm = recorder.temp(1, 1);
        recorder.norm_sq(&[weight], norm);
        let recording = recorder.finish()?;
        gpu.run(&recording)?;
        Ok((gpu.read_f32(found)?, gpu.read_f32(norm)?[0]))
    };
    let (found, norm) = run().map_err(|error| error.to_string())?;
    let wanted: Vec<f32> = [1.0, 2.0, 3.0].iter().flat_map(|value| vec![*value; cols]).collect();
    (found == wanted).then_some(()).ok_or("the wrong rows were picked")?;
    (norm == 14.0 * cols as f32).then_some(()).ok_or(format!("the squared norm is {norm}"))
}

/// States are not taken in runs: what would make them smaller is said.
fn too_large_to_bind() -> Result<(), String> {
    let mut gpu = Gpu::open(Choice::Software).map_err(|error| error.to_string())?;
    let mut run = || -> Result<(), EngineError> {
        let view = View::new(gpu.alloc(40 << 20)?, 40, 1 << 20);
        let gain = View::new(gpu.alloc(1 << 20)?, 1, 1 << 20);
        let mut arena = Arena::new();
        let mut recorder = Recorder::new(&mut gpu, &mut arena);
        recorder.rms_norm(view, gain, Params { eps: 1e-5, offset: 0.0 });
        let recording = recorder.finish()?;
        gpu.run(&recording)
    };
    match run() {
        Err(EngineError::Kernel { op: "rms_norm", reason }) if reason.contains("40 x 1048576") && reason.contains("smaller batch") => {
            Ok(())
        }
        // An adapter with more room than that.
        Ok(()) => Ok(()),
        Err(other) => Err(other.to_string()),
    }
}

fn lost() -> Result<(), String> {
    let mut gpu = Gpu::open(Choice::Software).map_err(|error| error.to_string())?;
    let view = gpu.load(&[1.0], 1, 1).map_err(|error| error.to_string())?;
    gpu.abandon();
    for result in [gpu.read_f32(view).map(|_| ()), gpu.write_f32(view, &[2.0]), gpu.alloc(1).map(|_| ())] {
        if !matches!(result, Err(EngineError::Lost { .. })) {
            return Err(format!("{result:?}"));
        }
    }
    Ok(())
}

/// Products with frozen weights against sums in f64 over what a half holds of them, for few and for many rows.
fn halves(tuning: Tuning, tolerance: f32) -> Result<(), String> {
    let mut gpu = Gpu::open_with(Choice::Software, tuning).map_err(|error| error.to_string())?;
    let mut random = Random(3);
    for (m, n, k) in [(1, 1, 2), (1, 70, 34), (3, 5, 128), (8, 131, 96), (9, 7, 10), (70, 131, 96), (130, 64, 200), (20, 70, 33)] {
        let (x, weight) = (random.normals(m * k), random.normals(n * k));
        let mut run = |frozen: bool| -> Result<Vec<f32>, EngineError> {
            let mut arena = Arena::new();
            let (own, held) = (gpu.load(&x, m, k)?, gpu.load(&weight, n, k)?);
            let mut recorder = Recorder::new(&mut gpu, &mut arena);
            let y = recorder.linear(own, held, None);
            let recording = recorder.finish()?;
            if frozen {
                gpu.freeze(&[held], Precision::Half)?;
            }
            gpu.run(&recording)?;
            let found = gpu.read_f32(y)?;
            gpu.thaw();
            arena.clear(&mut gpu);
            gpu.free(own.buffer);
            gpu.free(held.buffer);
            Ok(found)
        };
        let at = |error: EngineError| format!("{m} x {n} x {k}: {error}");
        let (plain, found, again) = (run(false).map_err(at)?, run(true).map_err(at)?, run(true).map_err(at)?);
        (found == again).then_some(()).ok_or(format!("{m} x {n} x {k} differs between two runs"))?;
        if k % 2 == 1 {
            (found == plain).then_some(()).ok_or("a row of half a pair is read as it is")?;
            continue;
        }
        let rounded: Vec<f64> = weight.iter().map(|w| half::f16::from_f32(*w).to_f64()).collect();
        let sum = |i: usize, j: usize| (0..k).map(|at| f64::from(x[i * k + at]) * rounded[j * k + at]).sum::<f64>() as f32;
        let wanted: Vec<f32> = (0..m * n).map(|at| sum(at / n, at % n)).collect();
        near(&found, &wanted, tolerance).map_err(|by| format!("{m} x {n} x {k} {by}"))?;
        (m * n * k < 1000 || near(&found, &plain, 2e-6).is_err()).then_some(()).ok_or("the weight was not rounded")?;
    }
    (gpu.memory().in_use < 1 << 22).then_some(()).ok_or(format!("copies are left: {:?}", gpu.memory()))
}

/// A run leaves its compiled kernels to the next; a damaged file of them is as good as none.
fn compiled() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let found = || -> Result<Vec<f32>, EngineError> {
        let mut gpu = Gpu::open_kept(Choice::Software, folder.path())?;
        let x = gpu.load(&[1.0, 2.0, 3.0, 4.0], 2, 2)?;
        let mut arena = Arena::new();
        let mut recorder = Recorder::new(&mut gpu, &mut arena);
        let y = recorder.linear(x, x, None);
        let recording = recorder.finish()?;
        gpu.run(&recording)?;
        gpu.read_f32(y)
    };
    let files = || -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder.path()).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let wanted = vec![5.0, 11.0, 11.0, 25.0];
    assert_eq!(found().map_err(|error| error.to_string())?, wanted);
    let Some(file) = files().pop() else {
        // an adapter whose driver gives nothing away
        return Ok(());
    };
    let damages: [fn(&mut Vec<u8>); 3] = [|bytes| bytes.truncate(40), |bytes| bytes[33] ^= 1, |_| ()];
    for damage in damages {
        let mut bytes = std::fs::read(&file).map_err(|error| error.to_string())?;
        damage(&mut bytes);
        std::fs::write(&file, bytes).map_err(|error| error.to_string())?;
        assert_eq!(found().map_err(|error| error.to_string())?, wanted);
        assert_eq!(files().as_slice(), std::slice::from_ref(&file));
    }
    Ok(())
}

/// Measures every choice at small sizes; what was chosen is what a later run opens with, and not what a damaged file says.
fn tuned() -> Result<(), String> {
    let said = |error: EngineError| error.to_string();
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut gpu = Gpu::open_kept(Choice::Software, folder.path()).map_err(said)?;
    let untuned = gpu.tuning();
    let measured = gpu.tune(Some(2)).map_err(said)?;
    assert!(measured.iter().map(|one| one.knob.name).eq(KNOBS.iter().map(|knob| knob.name)));
    for one in &measured {
        assert!(one.candidates.contains(&one.chosen) && (one.knob.get)(&gpu.tuning()) == one.chosen, "{}", one.knob.name);
        assert_eq!(one.before, (one.knob.get)(&untuned), "{}: each is measured from the table on", one.knob.name);
        assert_eq!(one.seconds.len(), one.knob.probes.len());
        let sound = |times: &[f64]| times.len() == one.candidates.len() && times.iter().all(|t| t.is_finite() && *t > 0.0);
        assert!(one.seconds.iter().all(|(_, times)| sound(times)), "{one:?}");
    }
    assert!(gpu.memory().in_use < 1024, "measuring leaves nothing behind but the place of absent inputs");
    let other = Tuning { enough_tiles: 384, ..gpu.tuning() };
    let gpu = Gpu::open_with(Choice::Software, other).map_err(said)?;
    let file = gpu.keep_tuning(folder.path()).map_err(|error| error.to_string())?;
    let reopened = || Gpu::open_kept(Choice::Software, folder.path()).map(|gpu| gpu.tuning()).map_err(said);
    assert_eq!(reopened()?, other);
    std::fs::write(&file, "{}").map_err(|error| error.to_string())?;
    assert_eq!(reopened()?, untuned);
    Ok(())
}

/// SplitMix64, and normals by adding up uniforms.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    fn normals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0).collect()
    }
}
