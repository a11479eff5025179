# Studies beside the main comparison: what the POMDP's calibration predicts, routers in the published
# calibration, distorted scores, and the best that any router could do.
STUDIED = list(EXPERIMENT.robustness.benchmarks)
ROBUST_KINDS = [
    KINDS[name].name for name in EXPERIMENT.robustness.routers if KINDS[name].fits
]
ROBUST = [f"{name}.parquet" for name in EXPERIMENT.robustness.routers]
MOVED = EXPERIMENT.transfer.routers


rule predict:
    input:
        calibrations(),
        episodes="results/episodes/{benchmark}/trim_thr.parquet",
    output:
        points="results/studies/prediction/{benchmark}.points.csv",
        errors="results/studies/prediction/{benchmark}.errors.csv",
    log:
        "logs/predict/{benchmark}.log",
    benchmark:
        "benchmarks/predict/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        code=code("trim.stages.predict"),
        reads=REPORTED,
        calibrations=lambda w, input: Path(input[0]).parent,
    shell:
        "trim predict --params {params.experiment:q} --calibrations {params.calibrations:q} --episodes {input.episodes:q}"
        " --points {output.points:q} --errors {output.errors:q} > {log:q} 2>&1"


rule simulate:
    output:
        "results/studies/published.csv",
    log:
        "logs/simulate.log",
    benchmark:
        "benchmarks/simulate.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        code=code("trim.stages.simulate"),
        simulation=PLAN["simulation"],
    shell:
        "trim simulate --params {params.experiment:q} --out {output:q} > {log:q} 2>&1"


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
            "trim.stages.robustness",
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
        "trim robustness --params {params.experiment:q} --benchmark {wildcards.benchmark:q}"
        " --distortion {wildcards.distortion:q} --problems {input.problems:q} {params.layers:q} {params.solutions:q} --out {params.out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-{wildcards.distortion:q}.sqlite > {log:q} 2>&1"


rule robustness_table:
    input:
        expand(
            "results/studies/robustness/{{benchmark}}/{distortion}/{file}",
            distortion=EXPERIMENT.robustness.distortions(),
            file=["single.json", *ROBUST],
        ),
        "results/calibration/{benchmark}/single.json",
        expand(
            "results/episodes/{{benchmark}}/{router}.parquet",
            router=[
                "always_weak",
                "always_strong",
                *EXPERIMENT.robustness.routers,
            ],
        ),
    output:
        "results/studies/robustness/{benchmark}.csv",
    log:
        "logs/robustness_table/{benchmark}.log",
    benchmark:
        "benchmarks/robustness_table/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        code=code("trim.stages.robustness"),
        reads=REPORTED,
    shell:
        "trim robustness-table --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --out {output:q}"
        " > {log:q} 2>&1"


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
        code=code("trim.stages.ceiling"),
        identities=IDENTITIES,
        ceiling=config.get("ceiling"),
        distortion=DISTORTION,
        generation=PLAN["generation"],
        layers=lambda w, input: [f"--layer={path}" for path in input.layers],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim ceiling --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {params.layers:q} --out {params.out:q} --journal results/.journal/{wildcards.benchmark:q}-ceiling.sqlite"
        " > {log:q} 2>&1"


rule ceiling_table:
    input:
        rules.ceiling.output,
        lambda w: episodes(w.benchmark),
    output:
        points="results/studies/ceiling/{benchmark}.points.csv",
        distances="results/studies/ceiling/{benchmark}.distances.csv",
    log:
        "logs/ceiling_table/{benchmark}.log",
    benchmark:
        "benchmarks/ceiling_table/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        code=code("trim.stages.ceiling"),
        reads=REPORTED,
    shell:
        "trim ceiling-table --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --points {output.points:q}"
        " --distances {output.distances:q} > {log:q} 2>&1"


# Which steps are handed over, and which of these were wrong.
rule interventions:
    input:
        problems="results/problems/{benchmark}.parquet",
        episodes=lambda w: episodes(w.benchmark),
    output:
        "results/studies/interventions/{benchmark}.csv",
    log:
        "logs/interventions/{benchmark}.log",
    benchmark:
        "benchmarks/interventions/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        code=code("trim.stages.interventions"),
        reads=REPORTED,
    shell:
        "trim interventions --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " --out {output:q} {input.episodes:q} > {log:q} 2>&1"


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
        code=code("trim.stages.transfer", *(KINDS[name].__module__ for name in MOVED)),
        identities=IDENTITIES,
        draws_out=lambda w, output: [] if REPLAY else [f"--draws-out={output.draws}"],
        routers=[PLAN["routers"][name] for name in MOVED],
        generation=PLAN["generation"],
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, input.draws, *input.known]
        ],
    shell:
        "trim transfer --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {params.layers:q} --fits results/routers --out {output.episodes:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-transfer.sqlite > {log:q} 2>&1"


rule transfer_table:
    input:
        "results/studies/transfer/{benchmark}/episodes",
        expand(
            "results/episodes/{{benchmark}}/{router}.parquet",
            router=["always_weak", "always_strong", *MOVED],
        ),
    output:
        "results/studies/transfer/{benchmark}.csv",
    log:
        "logs/transfer_table/{benchmark}.log",
    benchmark:
        "benchmarks/transfer_table/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        code=code("trim.stages.transfer"),
        reads=REPORTED,
    shell:
        "trim transfer-table --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --out {output:q}"
        " > {log:q} 2>&1"


# TRIM-Thr where a step is something else than a paragraph.
rule definition:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=test_layers,
        draws="results/draws/{benchmark}/test.parquet",
        known=lambda w: known_draws(w, f"definition-{w.step}"),
        models=models(),
    output:
        **study_draws("definition-{step}"),
        episodes=directory("results/studies/definitions/{benchmark}/{step}"),
    log:
        "logs/definition/{benchmark}/{step}.log",
    benchmark:
        "benchmarks/definition/{benchmark}/{step}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.stages.definitions"),
        identities=IDENTITIES,
        draws_out=lambda w, output: [] if REPLAY else [f"--draws-out={output.draws}"],
        generation=PLAN["generation"],
        thresholds=list(EXPERIMENT.definitions.thresholds),
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, input.draws, *input.known]
        ],
    shell:
        "trim definition {wildcards.step:q} --params {params.experiment:q} --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {params.layers:q} --out {output.episodes:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-definition-{wildcards.step:q}.sqlite > {log:q} 2>&1"


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
        code=code("trim.stages.twin"),
        identities=IDENTITIES,
        reads=REPORTED,
        draws_out=lambda w, output: [] if REPLAY else [f"--draws-out={output.draws}"],
        generation=PLAN["generation"],
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, input.draws, *input.known]
        ],
    shell:
        "trim twin --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " {params.layers:q} --out {output.figures:q} {params.draws_out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-twin.sqlite > {log:q} 2>&1"


rule definitions_table:
    input:
        expand(
            "results/studies/definitions/{{benchmark}}/{step}",
            step=EXPERIMENT.definitions.names(),
        ),
    output:
        "results/studies/definitions/{benchmark}.csv",
    log:
        "logs/definitions_table/{benchmark}.log",
    benchmark:
        "benchmarks/definitions_table/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        code=code("trim.stages.definitions"),
        reads=REPORTED,
    shell:
        "trim definitions-table --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --out {output:q}"
        " > {log:q} 2>&1"
