# Studies beside the main comparison. What one is, how it is measured and shown, is its file in trim/studies/; here
# stand the rules of those that run models, and one rule for each that is measured.
ROBUST_KINDS = [
    KINDS[name].name
    for name in EXPERIMENT.robustness.routers
    if KINDS[name].needs_fitting
]
ROBUST = [f"{name}.parquet" for name in EXPERIMENT.robustness.routers]
MOVED = EXPERIMENT.transfer.routers


# Draws made for the main comparison are read, so that only what the distorted scores lead to is new.
rule robustness:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=every_layer,
        draws=[
            "results/calibration/{benchmark}/draws.parquet",
            *expand(
                "results/draws/{{benchmark}}/fit-{kind}.parquet", kind=ROBUST_KINDS
            ),
            "results/draws/{benchmark}/test.parquet",
        ],
        solutions=LABELLED,
        models=models(),
    output:
        expand(
            "results/studies/robustness/{{benchmark}}/{{distortion}}/{file}",
            file=["single.json", "draws.parquet", *ROBUST],
        ),
    log:
        "logs/robustness/{benchmark}/{distortion}.log",
    benchmark:
        "benchmarks/robustness/{benchmark}/{distortion}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code(
            "trim.studies.robustness",
            *(KINDS[name].__module__ for name in EXPERIMENT.robustness.routers),
        ),
        identities=IDENTITIES,
        routers=[PLAN["routers"][name] for name in EXPERIMENT.robustness.routers],
        budgets=PLAN["evaluation"]["budgets"],
        calibration=PLAN["calibration"],
        generation=PLAN["generation"],
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, *input.draws]
        ],
        solutions=[f"--solutions={path}" for path in LABELLED],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim run-study robustness --case {wildcards.distortion:q} --params {params.experiment:q} --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {params.layers:q} {params.solutions:q} --out {params.out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-{wildcards.distortion:q}.sqlite > {log:q} 2>&1"


rule ceiling:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=every_layer,
        models=models(),
    output:
        expand(
            "results/studies/ceiling/{{benchmark}}/{name}.parquet",
            name=CEILINGS,
        ),
    log:
        "logs/ceiling/{benchmark}.log",
    benchmark:
        "benchmarks/ceiling/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.studies.ceiling"),
        identities=IDENTITIES,
        costs=PLAN["ceiling"]["costs"],
        distortion=DISTORTION,
        generation=PLAN["generation"],
        layers=lambda w, input: [f"--layer={path}" for path in input.layers],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim run-study ceiling --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {params.layers:q} --out {params.out:q} --journal results/.journal/{wildcards.benchmark:q}-ceiling.sqlite"
        " > {log:q} 2>&1"


# Routers as they were fitted on every other benchmark.
rule transfer:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=test_layers,
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, "transfer"),
        fits=[fit_files(MOVED, benchmark) for benchmark in BENCHMARKS],
        models=models(),
    output:
        **study_draws("transfer"),
        episodes=directory("results/studies/transfer/{benchmark}/episodes"),
    log:
        "logs/transfer/{benchmark}.log",
    benchmark:
        "benchmarks/transfer/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.studies.transfer", *(KINDS[name].__module__ for name in MOVED)),
        identities=IDENTITIES,
        draws_out=lambda w, output: [] if REPLAY else [f"--draws-out={output.draws}"],
        routers=[PLAN["routers"][name] for name in MOVED],
        generation=PLAN["generation"],
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, input.draws, *input.known]
        ],
    shell:
        "trim run-study transfer --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {params.layers:q} --fitted results/routers --out {output.episodes:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-transfer.sqlite > {log:q} 2>&1"


# TRIM-Thr where a step is something else than a paragraph.
rule granularity:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=test_layers,
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, f"granularity-{w.step}"),
        models=models(),
    output:
        **study_draws("granularity-{step}"),
        episodes=directory("results/studies/granularity/{benchmark}/{step}"),
    log:
        "logs/granularity/{benchmark}/{step}.log",
    benchmark:
        "benchmarks/granularity/{benchmark}/{step}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.studies.granularity"),
        identities=IDENTITIES,
        draws_out=lambda w, output: [] if REPLAY else [f"--draws-out={output.draws}"],
        generation=PLAN["generation"],
        thresholds=list(EXPERIMENT.granularity.thresholds),
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, input.draws, *input.known]
        ],
    shell:
        "trim run-study granularity --case {wildcards.step:q} --params {params.experiment:q} --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {params.layers:q} --out {output.episodes:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-granularity-{wildcards.step:q}.sqlite > {log:q} 2>&1"


# Log-probabilities that a router used are read from its draws.
rule twin:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=test_layers,
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, "twin"),
        models=models(),
    output:
        **study_draws("twin"),
        figures="results/studies/twin/{benchmark}.csv",
    log:
        "logs/twin/{benchmark}.log",
    benchmark:
        "benchmarks/twin/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.studies.twin"),
        identities=IDENTITIES,
        reads=REPORTED,
        draws_out=lambda w, output: [] if REPLAY else [f"--draws-out={output.draws}"],
        generation=PLAN["generation"],
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, input.draws, *input.known]
        ],
    shell:
        "trim run-study twin --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {params.layers:q} --out {output.figures:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-twin.sqlite > {log:q} 2>&1"


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
        conda:
            "../envs/trim.yaml"
        threads: 1
        params:
            experiment=PARAMS,
            code=code(f"trim.studies.{STUDY.name}"),
            study=STUDY.name,
            reads=REPORTED,
        shell:
            "trim measure-study {params.study:q} --params {params.experiment:q} --benchmark {wildcards.benchmark:q}"
            " > {log:q} 2>&1"
