# Solution trees made whole: what any policy can meet, for training and for ceilings. They and the
# trainings come first, since nothing else has so much waiting for it.
rule trees:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("{split}") + scores("{split}"),
        models=models(),
    output:
        "results/trees/{benchmark}/{split}.parquet",
    log:
        "logs/trees/{benchmark}/{split}.log",
    benchmark:
        "benchmarks/trees/{benchmark}/{split}.tsv"
    priority: 2
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.stages.trees"),
        identities=IDENTITIES,
        distortion=DISTORTION,
        generation=PLAN["generation"],
        layers=lambda w, input: [f"--layer={path}" for path in input.layers],
    shell:
        "trim trees --params {params.experiment:q} --problems {input.problems:q} --split {wildcards.split:q} {params.layers:q} --out {output:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-{wildcards.split:q}-trees.sqlite > {log:q} 2>&1"


rule fit:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("validation") + scores("validation"),
        labels=lambda w: (
            rollouts("train") + scores("train")
            if "train_rollouts" in FITTED[w.kind].needs
            else []
        ),
        trees=trees("validation"),
        explored=lambda w: [ancient(path) for path in explored(w)],
        calibration=lambda w: calibrations() if "pomdp" in FITTED[w.kind].needs else [],
        models=models(),
    output:
        "results/routers/{benchmark}/{kind}.json",
        "results/routers/{benchmark}/{kind}.safetensors",
        draws="results/draws/{benchmark}/fit-{kind}.parquet",
    log:
        "logs/fit/{benchmark}/{kind}.log",
    benchmark:
        "benchmarks/fit/{benchmark}/{kind}.tsv"
    wildcard_constraints:
        kind="|".join(name for name in FITTED if name not in TRAINED) or "-",
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.stages.fit"),
        router_code=lambda w: router_code(FITTED[w.kind]),
        identities=IDENTITIES,
        routers=fitted_routers,
        distortion=DISTORTION,
        generation=PLAN["generation"],
        budgets=PLAN["evaluation"]["budgets"],
        layers=lambda w, input: [
            f"--layer={path}"
            for path in [*input.layers, *input.labels, *input.trees, *input.explored]
        ],
        calibrations=lambda w, input: (
            [f"--calibrations=results/calibration/{w.benchmark}"]
            if input.get("calibration")
            else []
        ),
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim fit --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --type {wildcards.kind:q}"
        " --problems {input.problems:q} {params.layers:q} {params.calibrations:q} --out {params.out:q} --draws-out {output.draws:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-fit-{wildcards.kind:q}.sqlite"
        " > {log:q} 2>&1"


# Fitting by training, on the train split; the journal also keeps the state after each epoch.
rule train:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("train")
        + scores("train")
        + rollouts("validation")
        + scores("validation"),
        trees=lambda w: trees("train")(w) + trees("validation")(w),
        models=models(),
    output:
        "results/routers/{benchmark}/{kind}.json",
        "results/routers/{benchmark}/{kind}.safetensors",
        draws="results/draws/{benchmark}/fit-{kind}.parquet",
        training=directory("results/training/{benchmark}/{kind}"),
    log:
        "logs/train/{benchmark}/{kind}.log",
    benchmark:
        "benchmarks/train/{benchmark}/{kind}.tsv"
    wildcard_constraints:
        kind="|".join(TRAINED) or "-",
    priority: 1
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.stages.train"),
        router_code=lambda w: router_code(FITTED[w.kind]),
        identities=IDENTITIES,
        routers=fitted_routers,
        distortion=DISTORTION,
        generation=PLAN["generation"],
        budgets=PLAN["evaluation"]["budgets"],
        layers=lambda w, input: [
            f"--layer={path}" for path in [*input.layers, *input.trees]
        ],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim train --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --type {wildcards.kind:q}"
        " --problems {input.problems:q} {params.layers:q} --out {params.out:q} --draws-out {output.draws:q}"
        " --curves {output.training:q} --journal results/.journal/{wildcards.benchmark:q}-train-{wildcards.kind:q}.sqlite"
        " > {log:q} 2>&1"


# Neither the code of single routers nor the time of what was fitted counts here: after an edit, `episodes` of that
# router makes what the layer lacks, and the other routers' episodes stand.
rule draws:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=test_layers,
        fits=lambda w: [
            ancient(path)
            for path in fit_files(EXPERIMENT.routers_on(w.benchmark), w.benchmark)
        ],
        models=models(),
    output:
        "results/draws/{benchmark}/test.parquet",
    log:
        "logs/draws/{benchmark}.log",
    benchmark:
        "benchmarks/draws/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        code=code("trim.stages.draws"),
        identities=IDENTITIES,
        routers=PLAN["routers"],
        distortion=DISTORTION,
        generation=PLAN["generation"],
        layers=lambda w, input: [f"--layer={path}" for path in input.layers],
    shell:
        "trim draws --params {params.experiment:q} --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " --split test {params.layers:q} --fitted results/routers --out {output:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-test.sqlite > {log:q} 2>&1"
