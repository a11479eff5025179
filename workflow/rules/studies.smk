# Studies beside the main comparison. What one is, how it is measured and shown, is its file in trim/studies/; here
# stand the rules of those that run models, and one rule for each that is measured.
ROBUST = EXPERIMENT.robustness.routers
MOVED = EXPERIMENT.transfer.routers


# Draws made for the main comparison are read, so that only what the distorted scores lead to is new.
rule robustness:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, *SPLITS),
        draws=[
            "results/calibration/{benchmark}/draws.parquet",
            *(
                LAYOUT.fit_draws("{benchmark}", name)
                for name in ROBUST
                if name in LAYOUT.fitted
            ),
            "results/draws/{benchmark}/test.parquet",
        ],
        solutions=LAYOUT.labelled,
        reward_models=LAYOUT.scoring(ROBUST),
        models=LAYOUT.models(),
    output:
        expand(
            "results/studies/robustness/{{benchmark}}/{{distortion}}/{file}",
            file=[
                "single.json",
                "draws.parquet",
                *(f"{name}.parquet" for name in ROBUST),
            ],
        ),
    log:
        "logs/robustness/{benchmark}/{distortion}.log",
    benchmark:
        "benchmarks/robustness/{benchmark}/{distortion}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.robustness"),
        router_code=router_code(*ROBUST),
        routers=[SECTIONS["routers"][name] for name in ROBUST],
        budgets=SECTIONS["evaluation"]["budgets"],
        calibration=SECTIONS["calibration"],
        solutions=[f"--solutions={path}" for path in LAYOUT.labelled],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim run-study robustness --case {wildcards.distortion:q} --params results/params.yaml --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {input.layers:q} {input.draws:q} {params.solutions:q} --out {params.out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-{wildcards.distortion:q}.sqlite > {log:q} 2>&1"


rule ceiling:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, *SPLITS),
        models=LAYOUT.models(),
    output:
        expand(
            "results/studies/ceiling/{{benchmark}}/{name}.parquet",
            name=CEILINGS,
        ),
    log:
        "logs/ceiling/{benchmark}.log",
    benchmark:
        "benchmarks/ceiling/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.ceiling"),
        costs=SECTIONS["ceiling"]["costs"],
        distortion=SECTIONS["models"]["prm"]["distortion"],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim run-study ceiling --params results/params.yaml --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {input.layers:q} --out {params.out:q} --journal results/.journal/{wildcards.benchmark:q}-ceiling.sqlite > {log:q} 2>&1"


# Routers as they were fitted on every other benchmark.
rule transfer:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "test"),
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, "transfer"),
        fits=[LAYOUT.fits(benchmark, MOVED) for benchmark in BENCHMARKS],
        models=LAYOUT.models(),
    output:
        **study_draws("transfer"),
        episodes=directory("results/studies/transfer/{benchmark}/episodes"),
    log:
        "logs/transfer/{benchmark}.log",
    benchmark:
        "benchmarks/transfer/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.transfer"),
        router_code=router_code(*MOVED),
        draws_out=draws_out,
        routers=[SECTIONS["routers"][name] for name in MOVED],
    shell:
        "trim run-study transfer --params results/params.yaml --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {input.layers:q} {input.draws:q} {input.known:q} --fitted results/routers --out {output.episodes:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-transfer.sqlite > {log:q} 2>&1"


# TRIM-Thr where a step is something else than a paragraph.
rule granularity:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "test"),
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, f"granularity-{w.step}"),
        models=LAYOUT.models(),
    output:
        **study_draws("granularity-{step}"),
        episodes=directory("results/studies/granularity/{benchmark}/{step}"),
    log:
        "logs/granularity/{benchmark}/{step}.log",
    benchmark:
        "benchmarks/granularity/{benchmark}/{step}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.granularity"),
        draws_out=draws_out,
        thresholds=list(EXPERIMENT.granularity.thresholds),
    shell:
        "trim run-study granularity --case {wildcards.step:q} --params results/params.yaml --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {input.layers:q} {input.draws:q} {input.known:q} --out {output.episodes:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-granularity-{wildcards.step:q}.sqlite > {log:q} 2>&1"


# Log-probabilities that a router used are read from its draws.
rule twin:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "test"),
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, "twin"),
        models=LAYOUT.models(),
    output:
        **study_draws("twin"),
        figures="results/studies/twin/{benchmark}.csv",
    log:
        "logs/twin/{benchmark}.log",
    benchmark:
        "benchmarks/twin/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.twin"),
        reads=LAYOUT.reported,
        draws_out=draws_out,
    shell:
        "trim run-study twin --params results/params.yaml --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {input.layers:q} {input.draws:q} {input.known:q} --out {output.figures:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-twin.sqlite > {log:q} 2>&1"


# Steered streams lead to few steps that no price of the main comparison meets.
rule stream:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "test"),
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, "stream"),
        fits=lambda w: LAYOUT.fits(w.benchmark, ["trim_budget"]),
        models=LAYOUT.models(),
    output:
        **study_draws("stream"),
        figures="results/studies/stream/{benchmark}.csv",
    log:
        "logs/stream/{benchmark}.log",
    benchmark:
        "benchmarks/stream/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.stream"),
        draws_out=draws_out,
        budgets=SECTIONS["evaluation"]["budgets"],
    shell:
        "trim run-study stream --params results/params.yaml --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {input.layers:q} {input.draws:q} {input.known:q} --fitted results/routers --out {output.figures:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-stream.sqlite > {log:q} 2>&1"


# Verifiers of weak steps, on whole trees.
rule ladder:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, *SPLITS)
        + LAYOUT.logprobs(w.benchmark, *SPLITS),
        reward_models=LAYOUT.reward_model(*EXPERIMENT.reward_models),
        evidence=LAYOUT.scoring(EXPERIMENT.routers),
        models=LAYOUT.models(),
    output:
        "results/studies/ladder/{benchmark}.csv",
    log:
        "logs/ladder/{benchmark}.log",
    benchmark:
        "benchmarks/ladder/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.ladder", *verifiers.modules()),
        reads=LAYOUT.reported,
        distortion=SECTIONS["models"]["prm"]["distortion"],
    shell:
        "trim run-study ladder --params results/params.yaml --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {input.layers:q} --out {output:q} --journal results/.journal/{wildcards.benchmark:q}-ladder.sqlite > {log:q} 2>&1"


# What there is to gain by reading at a price.
rule verification:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, *SPLITS)
        + LAYOUT.logprobs(w.benchmark, *SPLITS),
        models=LAYOUT.models(),
    output:
        "results/studies/verification/{benchmark}.bounds.csv",
    log:
        "logs/verification/{benchmark}.log",
    benchmark:
        "benchmarks/verification/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.studies.verification"),
        reads=LAYOUT.reported,
        distortion=SECTIONS["models"]["prm"]["distortion"],
    shell:
        "trim run-study verification --params results/params.yaml --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {input.layers:q} --out {output:q} --journal results/.journal/{wildcards.benchmark:q}-verification.sqlite > {log:q} 2>&1"


for STUDY in STUDIES.values():
    if STUDY.measurement is None:
        continue

    rule:
        name:
            f"measure_{STUDY.name}"
        input:
            lambda w, study=STUDY: [
                f"results/{path}"
                for path in study.measurement.inputs(EXPERIMENT, w.benchmark)
            ],
        output:
            [f"results/{path}" for path in STUDY.measured_on("{benchmark}")],
        log:
            f"logs/measure/{STUDY.name}/{{benchmark}}.log",
        benchmark:
            f"benchmarks/measure/{STUDY.name}/{{benchmark}}.tsv"
        wildcard_constraints:
            benchmark="|".join(STUDY.measurement.benchmarks(EXPERIMENT)) or "-",
        params:
            code=code(f"trim.studies.{STUDY.name}"),
            study=STUDY.name,
            reads=LAYOUT.reported,
        shell:
            "trim measure-study {params.study:q} --params results/params.yaml --benchmark {wildcards.benchmark:q} > {log:q} 2>&1"
