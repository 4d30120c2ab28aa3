//! Primitives that need no engine, and a bench to run recipes made of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use align::chance;
use align::durable::HashCache;
use align::formula::expr::Output;
use align::plan::Surroundings;
use align::plan::{DeviceClass, Numerics, Plan};
use align::run::{Event, Outcome, Run, Store};
use align::stage::{Artifact, Call, Context, Failure, Item, LazyEngine, Metrics, Primitive, Product, Progress};
use align::value::{Cell, Estimate, Table};
use align::world::Sources;

use crate::testing::Sketch;

/// Every toy.
pub const TOYS: &[&dyn Primitive] = &[&Numbers, &Load, &Half, &Learn, &Keep, &Break];

/// `numbers(count, plus)`: rows `x = 0..count`, each `plus` larger, and their mean beside them.
#[derive(Debug)]
pub struct Numbers;

impl Primitive for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        tell(context, "numbers")?;
        let (count, plus): (i64, f64) = (call.get("count")?, call.get("plus")?);
        let rows: Vec<Vec<Cell>> = (0..count).map(|i| vec![Cell::Float(i as f64 + plus)]).collect();
        let mean = (count - 1) as f64 / 2.0 + plus;
        if count > 99 {
            context.warn("align::toy::many", "these are many rows", None);
        }
        let estimate = Estimate { mean, n: count as u64, lower95: mean - 0.5, upper95: mean + 0.5 };
        Ok(Product::table(Table { columns: vec!["x".into()], rows }).with("mean", Item::Value(Cell::Estimate(estimate))))
    }
}

/// `load(path)`: one row for every line of a file.
#[derive(Debug)]
pub struct Load;

impl Primitive for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        tell(context, "load")?;
        let text = fs::read_to_string(context.path(&call.get::<PathBuf>("path")?))?;
        let rows: Vec<Vec<Cell>> = text.lines().map(|line| vec![Cell::text(line)]).collect();
        Ok(Product::table(Table { columns: vec!["line".into()], rows }))
    }

    fn file_arguments(&self) -> &'static [&'static str] {
        &["path"]
    }
}

/// `half(data)`: the rows of odd and even places.
#[derive(Debug)]
pub struct Half;

impl Primitive for Half {
    fn name(&self) -> &'static str {
        "half"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        tell(context, "half")?;
        let table = context.table(&call.get::<Output>("data")?)?;
        let pick = |start: usize| Item::Table(Arc::new(table.pick((start..table.len()).step_by(2))));
        Ok(Product::record([("even".into(), pick(0)), ("odd".into(), pick(1))]))
    }
}

/// `learn(data, steps, pause)`: a random walk of `steps` steps with checkpoints, in a file that stands for a network.
#[derive(Debug)]
pub struct Learn;

impl Primitive for Learn {
    fn name(&self) -> &'static str {
        "learn"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let (steps, pause): (u64, u64) = (call.get("steps")?, call.get("pause")?);
        let (mut done, mut state) = match context.checkpoint()? {
            Some(checkpoint) => (checkpoint.step, fs::read(checkpoint.folder.join("state"))?),
            None => (0, vec![0; 64]),
        };
        tell(context, &format!("learn from {done}"))?;
        while done < steps {
            std::thread::sleep(Duration::from_millis(pause));
            let step = u32::try_from(done).expect("few steps");
            let words = chance::uniform(context.stage_key(), [step, 0, 0, 0]);
            state.iter_mut().zip(words.iter().cycle()).for_each(|(byte, word)| *byte = byte.wrapping_mul(31).wrapping_add(*word as u8));
            done += 1;
            let loss: Metrics = vec![("loss".into(), 1.0 / done as f64)];
            context.log(done, loss.clone());
            context.progress(Progress { step: done, total: Some(steps), metrics: loss, ..Progress::default() });
            if context.checkpoint_due() {
                context.save_checkpoint(done, |folder| Ok(fs::write(folder.join("state"), &state)?))?;
            }
            if context.interrupted() && done < steps {
                return Err(Failure::interrupted(done));
            }
        }
        fs::create_dir(context.folder().join("model"))?;
        fs::write(context.folder().join("model/weights.safetensors"), &state)?;
        Ok(Product::network("model").with("loss", Item::Value(Cell::Float(1.0 / steps as f64))))
    }
}

/// `keep(candidates)`: the last that was made.
#[derive(Debug)]
pub struct Keep;

impl Primitive for Keep {
    fn name(&self) -> &'static str {
        "keep"
    }

    fn run(&self, call: &Call<'_>, context: &Context<'_>) -> Result<Product, Failure> {
        let candidates: Vec<Output> = call.get("candidates")?;
        let made = candidates.into_iter().rfind(|c| context.exists(c)).ok_or_else(|| Failure::new("align::toy::none", "none was made"))?;
        assert!(!matches!(context.artifact(&made)?, Artifact::Missing));
        Ok(Product::new(Item::Same(made)))
    }

    fn takes_missing(&self) -> bool {
        true
    }
}

/// `break(at)`: fails.
#[derive(Debug)]
pub struct Break;

impl Primitive for Break {
    fn name(&self) -> &'static str {
        "break"
    }

    fn run(&self, _: &Call<'_>, _: &Context<'_>) -> Result<Product, Failure> {
        Err(Failure::new("align::run::not_finite", "the loss is no longer a number").step(41).value("loss = NaN"))
    }
}

/// Adds a line to `log` beside the recipe: what was really done.
fn tell(context: &Context<'_>, what: &str) -> Result<(), Failure> {
    let mut log = fs::File::options().create(true).append(true).open(context.path(Path::new("log")))?;
    Ok(log.write_all(format!("{what}\n").as_bytes())?)
}

/// A folder with a recipe in it.
#[derive(Debug)]
pub struct Bench {
    pub folder: PathBuf,
    pub interrupted: AtomicBool,
    pub every: Duration,
}

/// What happened, and what was said.
pub type Ran = (Outcome, Vec<Event>);

impl Bench {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.canonicalize().expect("a folder"), interrupted: AtomicBool::new(false), every: Duration::ZERO }
    }

    pub fn store(&self) -> Store {
        Store::new(&self.folder)
    }

    pub fn plan(&self, sketch: &Sketch) -> Plan {
        self.plan_on(sketch, DeviceClass::Cpu)
    }

    pub fn plan_on(&self, sketch: &Sketch, device: DeviceClass) -> Plan {
        let store = self.store();
        let mut hashes = HashCache::open(&self.folder.join(".align/outside.json"));
        let mut around =
            Surroundings { root: &self.folder, numerics: Numerics::f32(device), primitives: TOYS, shelf: &store, hashes: &mut hashes };
        Plan::new(&sketch.checked, &mut around).expect("a plan")
    }

    pub fn run(&self, sketch: &Sketch) -> Ran {
        self.listen(sketch, &|_| ())
    }

    pub fn listen(&self, sketch: &Sketch, also: &dyn Fn(&Event)) -> Ran {
        let (plan, store) = (self.plan(sketch), self.store());
        let engine = LazyEngine::new(|| Err(Failure::new("align::toy::engine", "toys need no engine")));
        let events = RefCell::new(Vec::new());
        let listen = |event: &Event| {
            events.borrow_mut().push(event.clone());
            also(event);
        };
        let run = Run {
            plan: &plan,
            store: &store,
            root: &self.folder,
            primitives: TOYS,
            engine: &engine,
            device: ("cpu".into(), "a test".into()),
            sources: &Sources::default(),
            interrupted: &self.interrupted,
            checkpoint_every: self.every,
            listen: &listen,
        };
        let outcome = run.execute().expect("a writable folder");
        (outcome, events.take())
    }

    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// The lines that primitives wrote: what was really done.
    pub fn log(&self) -> Vec<String> {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Every file of every artifact with its content, manifests aside.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let objects = self.folder.join(".align/objects");
        let mut found = BTreeMap::new();
        for object in fs::read_dir(&objects).expect("a store") {
            let object = object.expect("an entry").path();
            for file in align::durable::files_under(&object).expect("readable") {
                let name = format!("{}/{file}", object.file_name().expect("a name").to_string_lossy());
                found.insert(name, fs::read(object.join(file)).expect("readable"));
            }
        }
        found
    }
}
