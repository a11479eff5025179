"""Speed and memory against their limits: prints each figure and writes results/bench.json.

Ratios are taken within one run, so that they hold on a noisy machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import httpx2 as httpx
import numpy as np
import psutil
import serving
import torch
import verification
from evaluation import measure, study

from trim.audit.jobs import read_jobs
from trim.engine.cached import CachedLM, CachedPRM
from trim.engine.episode import Episode
from trim.engine.judge import AnswerJudge
from trim.engine.loop import run
from trim.engine.store import Draws
from trim.evaluation.published import published_model
from trim.evaluation.results import read_results
from trim.experiment.load import load
from trim.experiment.runner import Runner
from trim.models.backends.transformers import TransformersLM, TransformersPRM
from trim.models.base import Draft, LanguageModel, Prefix
from trim.models.files import resolve
from trim.models.settings import Engine
from trim.pomdp.beliefs import History
from trim.pomdp.calibration import Solution, calibrate
from trim.pomdp.planner import plan
from trim.pomdp.policy import planned
from trim.problems import Problem
from trim.problems.generated import generate
from trim.progress import Tracker
from trim.rl.environment import RoutingVectorEnv
from trim.rl.training import Task, train
from trim.rl.tree import Tree
from trim.rng import digest
from trim.routers.always import AlwaysStrong, AlwaysWeak
from trim.routers.trim_thr import TrimThr
from trim.solve import Solver

ROOT = Path(__file__).parent.parent
Row = tuple[str, float, str, float | None, bool]


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def at_most(name: str, figure: float, unit: str, limit: float) -> Row:
    """A figure that must not exceed its limit."""
    return name, figure, unit, limit, figure <= limit


def figure(name: str, figure: float, unit: str) -> Row:
    """A figure without a limit."""
    return name, figure, unit, None, True


def at_least(name: str, figure: float, unit: str, limit: float) -> Row:
    """A figure that must reach its limit."""
    return name, figure, unit, limit, figure >= limit


def startup() -> Iterator[Row]:
    """How long a person waits for a command that does little: the best of three."""
    for name, command, limit in (
        ("trim --help", ["trim", "--help"], 1),
        ("trim check", ["trim", "check"], 1),
        ("import trim.solve", [sys.executable, "-c", "import trim.solve"], 3),
    ):
        call = partial(subprocess.run, command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        yield at_most(name, min(seconds(call) for _ in range(3)), "s", limit)


def tests() -> Iterator[Row]:
    """The suite, as `make test` runs it, and the part of it for every edit."""
    for name, options, limit in (("tests", (), 300), ("fast tests", ("-m", "not slow"), 60)):
        command = [sys.executable, "-m", "pytest", "-n", "2", *options]
        spent = seconds(partial(subprocess.run, command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL))
        yield at_most(name, spent, "s", limit)


FULL = ("--configfile", "workflow/experiments/full.yaml")


def pipeline() -> Iterator[Row]:
    """A first run, a full one on top of it, an edit of one router, and a run with nothing to do."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("Snakefile", "params.yaml", "workflow", "trim", "snakemake_logger_plugin_trim"):
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        command = ["snakemake", "--cores", "2", "--quiet", "all"]
        yield from watched("first run", 300, command, folder)
        idle = seconds(lambda: subprocess.run(command, cwd=folder, check=True, env=own(folder)))
        yield at_most("run with nothing to do", idle, "s", 5)
        router = folder / "trim" / "routers" / "rsd.py"
        router.write_text(router.read_text() + "\n# a remark\n")
        spent = seconds(lambda: subprocess.run(command, cwd=folder, check=True, env=own(folder)))
        yield at_most("edit of one router", spent, "s", 60)
        shutil.rmtree(folder / "benchmarks")
        yield from watched("full run, more", 720, [*command, *FULL], folder)
        page = folder / "results" / "report.html"
        page.unlink()
        report = ["trim", "report"]
        spent = seconds(lambda: subprocess.run(report, cwd=folder, check=True, stdout=subprocess.DEVNULL))
        yield at_most("report", spent, "s", 10)
        yield at_most("its size", page.stat().st_size / 1e6, "MB", 5)
        episodes = sorted((folder / "results" / "episodes").glob("*/*.parquet"))
        spent = seconds(lambda: list(map(read_results, episodes)))
        yield at_most("costs of all episodes, in every regime", spent, "s", 10)


def own(folder: Path) -> dict[str, str]:
    """The environment in which a folder's own copy of the package is used."""
    return os.environ | {"PYTHONPATH": str(folder)}


def watched(name: str, limit: float, command: list[str], folder: Path) -> Iterator[Row]:
    """A run of the pipeline: its time, its memory with all its children, and CPU seconds of each rule."""
    peak, start = 0, time.perf_counter()
    process = psutil.Popen(command, cwd=folder, env=own(folder))
    while process.poll() is None:
        used = 0
        for member in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                used += member.memory_info().rss
        peak = max(peak, used)
        time.sleep(0.25)
    if process.returncode:
        raise SystemExit("the pipeline failed")
    yield at_most(name, time.perf_counter() - start, "s", limit)
    yield at_most(f"{name}: memory", peak / 2**30, "GiB", 3)
    spent = read_jobs(folder / "benchmarks").groupby("rule")["cpu_time"].sum()
    for rule, cpu in spent.sort_values(ascending=False).items():
        yield figure(f"{name}: CPU of {rule}", cpu, "s")


def parts() -> tuple[TransformersLM, TransformersLM, TransformersPRM]:
    """The embedded models."""
    params = load(ROOT / "params.yaml")
    sampling = params.generation.sampling
    return (
        TransformersLM(resolve("embedded/weak"), sampling),
        TransformersLM(resolve("embedded/strong"), sampling),
        TransformersPRM(resolve("embedded/prm")),
    )


def whole_tree(problems: int, seed: int) -> Tree:
    """Solution trees of standard problems under the embedded models."""
    weak, strong, prm = parts()
    draws = Draws()
    writers = [CachedLM(m.id, lambda m=m: m, draws, 256) for m in (weak, strong)]
    scorer = CachedPRM(prm.id, lambda: prm, draws, 256)
    tree = Tree(generate("standard", {"train": problems}, seed), *writers, scorer)
    tree.expand()
    return tree


def sweep() -> Iterator[Row]:
    """Twenty thresholds against one pass of each model."""
    weak, strong, prm = parts()
    problems = generate("standard", {"test": 300}, 0)
    thresholds = np.linspace(0.05, 1, 20).tolist()
    policies = list(TrimThr(TrimThr.Params(thresholds=thresholds)).policies().values())
    tokens = 0

    def report(what: str, count: int, made: int) -> None:
        nonlocal tokens
        tokens += made

    def solve(chosen: list, counted: bool = False) -> Draws:
        draws = Draws()
        writers = [CachedLM(m.id, lambda m=m: m, draws, 256, report if counted else None) for m in (weak, strong)]
        run(problems, chosen, *writers, CachedPRM(prm.id, lambda: prm, draws, 256))
        return draws

    ends = [*AlwaysWeak(None).policies().values(), *AlwaysStrong(None).policies().values()]
    solve(ends)
    single = seconds(lambda: [solve([end]) for end in ends])
    held: list[Draws] = []
    whole = seconds(lambda: held.append(solve(policies, counted=True)))
    nodes = sum(draw.tokens for draw in held[0]._fresh.values() if draw.text is not None)
    yield at_most("sweep: tokens generated / tokens in distinct nodes", tokens / nodes, "ratio", 1.0)
    yield at_most("sweep of 20 thresholds / one weak and one strong pass", whole / single, "ratio", 3)


def replay() -> Iterator[Row]:
    """All of TRIM-Thr's settings on a test split, from a layer alone."""
    params = load(ROOT / "params.yaml")
    problems = generate("standard", {"test": 500}, 0)
    policies = list(params.router("trim_thr").policies().values())
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "layer.parquet"
        tracker = Tracker.silent()
        runner = Runner(params, Draws(), tracker)
        made = runner.run(problems, policies)
        runner.draws.export(layer)
        replaying = params.model_copy(update={"replay": True})
        episodes: list[Episode] = []

        def again() -> None:
            episodes.extend(Runner.open(replaying, [layer], None, tracker).run(problems, policies))

        spent = seconds(again)
        assert [e.steps for e in episodes] == [e.steps for e in made]
        name = f"replay of {len(problems)} problems under {len(policies)} settings"
        yield at_most(name, spent, "s", 10)


class Recorded:
    """A language model that remembers what it was asked for."""

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.asked = model, []

    def next_steps(self, prefixes: list, keys: list, keep: object = None) -> list[Draft]:
        """See `LanguageModel.next_steps`."""
        self.asked += zip(prefixes, keys, strict=True)
        return self.model.next_steps(prefixes, keys)


def engine() -> Iterator[Row]:
    """The step loop on vLLM, against vLLM alone on the same prompts as one batch."""
    if find_spec("vllm") is None:
        print("engine: skipped, vLLM is not installed (`make vllm`)")
        return
    from trim.models.backends.vllm import VllmLM

    sampling = load(ROOT / "params.yaml").generation.sampling
    problems = generate("standard", {"test": 1000}, 0)
    (policy,) = AlwaysStrong(None).policies().values()
    for name in ("weak", "strong"):
        model = VllmLM(resolve(f"embedded/{name}"), sampling, dtype="float32", engine=Engine(context=1024))

        def loop(recorded: Recorded) -> None:
            writer = CachedLM("m", lambda: recorded, Draws(), 4096)
            run(problems, [policy], writer, writer)

        loop(Recorded(model))  # warms up
        model.engine.reset_prefix_cache()
        recorded = Recorded(model)
        looped = seconds(partial(loop, recorded))
        model.engine.reset_prefix_cache()
        start = time.perf_counter()
        drafts = model.next_steps(*zip(*recorded.asked, strict=True))
        alone = time.perf_counter() - start
        tokens = sum(draft.tokens for draft in drafts)
        yield figure(f"vLLM alone, {name}: {len(drafts)} prompts as one batch", tokens / alone, "tok/s")
        yield at_least(f"step loop / vLLM alone, {name}: tokens a second", alone / looped, "ratio", 0.8)


def serve() -> Iterator[Row]:
    """The server against `trim solve`: its clients in this process, on the same cores."""
    few = serving.questions(128, 12)
    _, few_tokens, few_alone = serving.solved(few, 8)
    solver, single = Solver.load(), serving.questions(40, 13)
    solver(serving.questions(1, 15))
    bare = [serving.bare_step(solver, question) for question in single]
    with serving.served("--in-memory") as (_, url):
        serving.load(url, serving.questions(64, 14), 64)
        ratios = [serving.against_solve(url, serving.questions(512, seed)) for seed in (11, 16, 17)]
        steps, own = (serving.metric(url, f"trim_{name}_total") for name in ("steps", "own_seconds"))
        in_batches, at_once = np.median(ratios, axis=0).tolist()
        yield at_least("64 clients / solve in batches of 64: tokens a second", in_batches, "ratio", 0.7)
        yield figure("64 clients / solve of all 512 in one batch", at_once, "ratio")
        yield at_most("the server's own time for a step, 64 clients", 1000 * own / steps, "ms", 5)
        _, served, spent = serving.load(url, few, 8)
        assert served == few_tokens
        yield at_least("8 clients / solve in batches of 8: tokens a second", few_alone / spent, "ratio", 0.5)
        with httpx.Client(base_url=url, timeout=60) as client:
            first = [serving.first_step(client, question) for question in single]
        ratio = float(np.median(np.array(first) / bare))
        yield at_most("first step at 1 client / bare step, median of 40", ratio, "ratio", 1.3)


def endurance() -> Iterator[Row]:
    """10,000 requests of 64 clients: memory after each tenth, and every answer against that of `trim solve`."""
    asked = serving.questions(10_000, 21)
    texts, _, _ = serving.solved(asked, 512)
    memory, differ = [], 0
    with serving.served() as (process, url):
        for first in range(0, len(asked), 1000):
            answers, _, _ = serving.load(url, asked[first : first + 1000], 64)
            differ += sum(one != other for one, other in zip(answers, texts[first : first + 1000], strict=True))
            memory.append(serving.resident(process))
            print(f"endurance: {first + 1000:,} requests, {memory[-1]:.0f} MB, {differ} differ", flush=True)
    yield at_most("memory after the last tenth / after the second", memory[-1] / memory[1], "ratio", 1.05)
    yield at_most("answers that differ from those of solve", differ, "of 10k", 0)


def faults() -> Iterator[Row]:
    """8 clients among 200 that hang up at any moment, read slowly, or send halves, rubbish and too much."""
    asked = serving.questions(128, 31)
    texts, _, _ = serving.solved(asked, 64)
    with serving.served("--in-memory") as (process, url):
        answers, spent = serving.disturbed(url, asked, 8, 200)
        yield at_most(
            "answers among 200 clients that disturb: lost or wrong", sum(map(str.__ne__, answers, texts)), "", 0
        )
        yield figure("answers among 200 clients that disturb", len(asked) / spent, "/s")
        time.sleep(2)
        yield at_most("answers that are still made 2 s later", serving.metric(url, "trim_open_answers"), "", 0)
        again, _, _ = serving.load(url, asked, 8)
        yield at_most("answers after it: lost or wrong", sum(map(str.__ne__, again, texts)), "", 0)
        yield figure("resident memory after it", serving.resident(process), "MB")


def environment() -> Iterator[Row]:
    """Steps of the Gymnasium environment over draws that are cached."""
    tree = whole_tree(300, 0)
    env, rng = RoutingVectorEnv(tree, 256), np.random.default_rng(0)
    actions = rng.integers(0, 2, (100, 256))

    def play() -> None:
        env.reset(seed=0)
        for action in actions:
            env.step(action)

    play()
    yield at_least("environment steps from cached draws", actions.size / seconds(play), "/s", 20_000)


def training() -> Iterator[Row]:
    """One cost of TRIM-Agg on 2,000 problems, trees made whole before."""
    section = load(ROOT / "params.yaml").router("trim_agg").params
    tree, validation = whole_tree(2000, 0), whole_tree(500, 1)
    for cost in section.costs[1:3]:
        start, seen = time.perf_counter(), []

        def log(done: int, of: int, figures: dict[str, float], start: float = start, seen: list = seen) -> None:
            if "validation return/mean" in figures:
                seen.append((time.perf_counter() - start, figures["validation return/mean"]))

        train(Task((cost,), (0,), section.training), tree, validation, log=log)
        near = next(spent for spent, value in seen if value >= seen[-1][1] - 0.005)
        name = f"TRIM-Agg, cost {cost:g}: to within 0.005 of its last return"
        yield at_most(name, near, "s", 60)
        yield figure(f"TRIM-Agg, cost {cost:g}: all epochs", seen[-1][0], "s")


def verifying() -> Iterator[Row]:
    """Probes as they are trained on the train split, and a policy that may read on trees of a tenth of it."""
    for name, spent in verification.probes():
        yield at_most(f"{name}, 15,000 steps", spent, "s", 60)
    tree, validation = whole_tree(200, 4), whole_tree(50, 5)
    situations, spent = verification.fitting(tree, validation)
    yield figure("situations of 200 problems", situations, "")
    yield figure("fit of a policy that may read, eight prices", spent, "s")
    spent, gap = verification.planning(tree)
    yield at_most("plan of all actions, nine prices", spent, "s", 5)
    yield at_most("plan of all actions, largest gap of the bounds", 100 * gap, "%", 0.1)


def generation() -> Iterator[Row]:
    """Steps of many problems, against one problem at a time and one large static batch."""
    _, model, _ = parts()
    problems = generate("standard", {"test": 256}, 1)

    def engine() -> int:
        writer = CachedLM(model.id, lambda: model, Draws(), 256)
        (policy,) = AlwaysStrong(None).policies().values()
        episodes = run(problems, [policy], writer, writer)
        return sum(step.tokens for episode in episodes for step in episode.steps)

    def generate_batch(chosen: list) -> int:
        tokenizer = model.tokenizer
        tokenizer.padding_side = "left"
        inputs = tokenizer([model.prompt(Prefix(p.question), "") for p in chosen], return_tensors="pt", padding=True)
        with torch.inference_mode():
            out = model.model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=True,
                temperature=0.7,
                top_p=0.8,
                top_k=20,
                max_new_tokens=200,
            )
        written = out[:, inputs["input_ids"].shape[1] :]
        return int((written != tokenizer.pad_token_id).sum())

    def rate(work: Callable[[], int]) -> float:
        tokens = [0]
        spent = seconds(lambda: tokens.__setitem__(0, work()))
        return tokens[0] / spent

    engine()
    ours = max(rate(engine) for _ in range(3))
    single = rate(lambda: sum(generate_batch([p]) for p in problems[:24]))
    static = max(rate(lambda: generate_batch(problems)) for _ in range(3))
    yield at_least("tokens/s over a one-problem-at-a-time generate loop", ours / single, "ratio", 5)
    yield at_most("tokens/s of one static batch / ours", static / ours, "ratio", 1.5)


def independence() -> Iterator[Row]:
    """Steps that another batch would have written otherwise."""
    sampling = load(ROOT / "params.yaml").generation.sampling
    problems = generate("standard", {"test": 1000}, 2)
    places = [Prefix(p.question, p.reference[:n]) for p in problems for n in range(len(p.reference))][:5000]
    keys = [digest(repr(place).encode()) for place in places]
    shuffled = np.random.default_rng(0).permutation(len(places))

    def drawn(name: str, order: np.ndarray, size: int) -> dict[int, str]:
        model = TransformersLM(resolve(f"embedded/{name}"), sampling)  # with an empty prefix cache
        batches = [order[start : start + size].tolist() for start in range(0, len(order), size)]
        return {
            i: draft.text
            for batch in batches
            for i, draft in zip(
                batch, model.next_steps([places[i] for i in batch], [keys[i] for i in batch]), strict=True
            )
        }

    differ = {"reordered": 0, "alone": 0}
    for name in ("weak", "strong"):
        whole = drawn(name, np.arange(len(places)), 256)
        for what, size in (("reordered", 256), ("alone", 1)):
            other = drawn(name, shuffled, size)
            differ[what] += sum(whole[i] != other[i] for i in whole)
    for what, count in differ.items():
        yield at_most(f"steps that differ in another batch: {what}", count, f"in {2 * len(places):,}", 1)


# Peak memory in MB; unlike ru_maxrss it does not count what the parent held before exec.
PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1e3 for line in status if line.startswith("VmHWM"))
"""
STORE = """
import sys, time
from pathlib import Path
from trim.engine.store import Draw, Draws, digest
folder = Path(sys.argv[1])
keys = [digest(i.to_bytes(4, "little")) for i in range(1_000_000)]
start = time.perf_counter()
draws = Draws((), folder / "journal.sqlite")
for first in range(0, len(keys), 10_000):
    draws.put([(k, Draw(9, f"{i} + 5 = {i + 5}", "separator", None)) for i, k in enumerate(keys[first:first + 10_000])])
draws.export(folder / "layer.parquet")
written = time.perf_counter() - start
memory = peak()
del draws
start = time.perf_counter()
layer = Draws([folder / "layer.parquet"])
assert all(d is not None for first in range(0, len(keys), 10_000) for d in layer.get(keys[first:first + 10_000]))
print(written, time.perf_counter() - start, memory)
"""


def store() -> Iterator[Row]:
    """A million draws."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", PEAK + STORE, folder], capture_output=True, text=True, check=True)
    written, looked_up, memory = map(float, done.stdout.split())
    yield at_most("store: a million draws written", written, "s", 30)
    yield at_most("store: a million draws looked up", looked_up, "s", 10)
    yield at_most("store: peak memory", memory, "MB", 1000)


PLANNER = """
import json, sys, time
import numpy as np
from trim.pomdp.model import StepModel
from trim.evaluation.published import published_model
from trim.pomdp.planner import plan
classes, resolution, scores = (int(a) for a in sys.argv[1:])
model = published_model()
if classes > 1:
    ease = np.linspace(1, -1, classes)
    model = StepModel(
        model.observation, np.full(classes, 1 / classes), model.p_weak + 0.08 * ease, model.p_strong + 0.02 * ease,
        np.repeat(model.hazard, classes, axis=0), model.tokens,
    )
if scores:
    model = model.on_scores()
start = time.perf_counter()
found = plan(model, np.linspace(0.15, 0.85, 9), resolution or None)
spent = time.perf_counter() - start
print(json.dumps([spent, peak(), found.gap.max() / model.reward]))
"""


def planner() -> Iterator[Row]:
    """Nine costs, all steps, beliefs and token counts; growth with the grid and with difficulty classes."""

    def planned(classes: int, resolution: int, scores: int) -> list[float]:
        command = [sys.executable, "-c", PEAK + PLANNER, str(classes), str(resolution), str(scores)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    runs = [planned(1, 0, 0) for _ in range(3)]
    yield at_most("planner: nine costs on the published calibration", min(r[0] for r in runs), "s", 1)
    yield at_most("planner: peak memory", max(r[1] for r in runs), "MB", 500)
    yield at_most("planner: largest gap / reward of a right solution", 100 * runs[0][2], "%", 0.1)
    grids = [(1, resolution, 0) for resolution in (64, 256, 512)]
    grids += [(1, 128, 1), (2, 16, 1), (2, 32, 1), (2, 64, 1), (3, 5, 1), (3, 10, 1)]
    for classes, resolution, scores in grids:
        spent, _, gap = planned(classes, resolution, scores)
        name = f"planner: {classes} classes, grid {resolution}, {'scores' if scores else 'pairs'}"
        yield figure(f"{name}, time", spent, "s")
        yield figure(f"{name}, gap", 100 * gap, "%")


def calibration() -> Iterator[Row]:
    """5,000 labelled solutions of each model, with and without classes."""
    rng = np.random.default_rng(0)
    solutions = []
    for _ in range(10_000):
        length = int(rng.integers(2, 15))
        solutions.append(Solution(rng.beta(5, 2, length), int(rng.integers(-1, length))))
    for classes in (1, 2):
        spent = seconds(lambda classes=classes: calibrate(solutions[:5000], solutions[5000:], 60, 30, classes))
        yield at_most(f"calibration of 5,000 solutions, {classes} classes", spent, "s", 5)


def decision() -> Iterator[Row]:
    """A batch of 1,000 episodes that stand at step 8."""
    rng, model = np.random.default_rng(0), published_model()
    scores = rng.random((1000, 8))
    history = History(np.minimum.accumulate(scores, axis=1), scores, rng.random((1000, 7)) < 0.2)
    tokens = np.full(1000, 60)
    for name, where, tracker in (("scores, filter", model.on_scores(), "filter"), ("pairs, latest", model, "latest")):
        decide = planned(plan(where, [0.5]), 0, where, tracker)
        decide(history, tokens)
        spent = min(seconds(lambda decide=decide: decide(history, tokens)) for _ in range(20))
        yield at_most(f"decision for 1,000 episodes: {name}", 1000 * spent, "ms", 5)


def answers() -> Iterator[Row]:
    """Answers that need algebra, fresh and from the store."""
    problems = [Problem(f"{n}", "", rf"\frac{{x+{n}}}{{2}}", "test") for n in range(300)]
    texts = [rf"\boxed{{0.5 x + {n}/2}}" for n in range(300)]
    judge = AnswerJudge(Draws())
    judge.right(problems[:1], texts[:1])  # the worker starts
    fresh = seconds(lambda: judge.right(problems, texts))
    yield at_least("answers judged by algebra, fresh", len(texts) / fresh, "/s", 50)
    kept = seconds(lambda: [judge.right(problems, texts) for _ in range(20)])
    yield at_least("answers judged by algebra, kept", 20 * len(texts) / kept, "/s", 2000)


def evaluation() -> Iterator[Row]:
    """Measures and their intervals."""
    found = study(points=200, problems=500)
    yield at_most("measures of 200 points x 500 problems, 1,000 resamples", seconds(lambda: measure(found)), "s", 3)


def main() -> None:
    """Run all, or those named on the command line."""
    torch.set_num_threads(os.cpu_count() or 1)
    suites = {
        f.__name__: f
        for f in (
            store,
            answers,
            planner,
            calibration,
            decision,
            environment,
            training,
            verifying,
            generation,
            sweep,
            replay,
            engine,
            serve,
            endurance,
            faults,
            independence,
            evaluation,
            startup,
            tests,
            pipeline,
        )
    }
    rows: list[Row] = []
    for name in sys.argv[1:] or suites:
        for row in suites[name]():
            rows.append(row)
            limit = "" if row[3] is None else f"limit {row[3]:7.2f}  {'ok' if row[4] else 'MISSED'}"
            print(f"{row[0]:58} {row[1]:9.2f} {row[2]:6} {limit}".rstrip(), flush=True)
    (ROOT / "results").mkdir(exist_ok=True)
    records = [dict(zip(("name", "figure", "unit", "limit", "ok"), row, strict=True)) for row in rows]
    (ROOT / "results" / "bench.json").write_text(json.dumps(records, indent=2) + "\n")
    sys.exit(not all(row[4] for row in rows))


if __name__ == "__main__":
    main()
