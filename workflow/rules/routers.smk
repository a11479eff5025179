localrules:
    test_inputs,
    curves,


# Solution trees made whole: what any policy can meet, for training and for ceilings. They and the
# trainings come first, since nothing else has so much waiting for it.
rule trees:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=LAYOUT.alone("{benchmark}", "{split}"),
        models=LAYOUT.models(),
    output:
        "results/trees/{benchmark}/{split}.parquet",
    log:
        "logs/trees/{benchmark}/{split}.log",
    benchmark:
        "benchmarks/trees/{benchmark}/{split}.tsv"
    priority: 2
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.trees"),
        distortion=SECTIONS["models"]["prm"]["distortion"],
    shell:
        "trim trees --params results/params.yaml --problems {input.problems:q} --split {wildcards.split:q} {input.layers:q} --out {output:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-{wildcards.split:q}-trees.sqlite > {log:q} 2>&1"


# Of every draft in them, for routers and studies that may have the strong model read a draft; with what the weak model
# writes when it tries again, if a router may have it do so.
rule logprobs:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=LAYOUT.alone("{benchmark}", "{split}"),
        trees="results/trees/{benchmark}/{split}.parquet",
        models=LAYOUT.models(),
    output:
        "results/trees/{benchmark}/{split}.logprobs.parquet",
    log:
        "logs/logprobs/{benchmark}/{split}.log",
    benchmark:
        "benchmarks/logprobs/{benchmark}/{split}.tsv"
    priority: 2
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.trees"),
    shell:
        "trim logprobs --params results/params.yaml --problems {input.problems:q} --split {wildcards.split:q}"
        " {input.layers:q} {input.trees:q} --out {output:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-{wildcards.split:q}-logprobs.sqlite > {log:q} 2>&1"


rule fit:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "validation"),
        train=lambda w: (
            LAYOUT.alone(w.benchmark, "train") if LAYOUT.learns(w.router) else []
        ),
        explored=lambda w: LAYOUT.explored(w.benchmark, w.router),
        calibration=lambda w: (
            LAYOUT.calibrations(w.benchmark)
            if LAYOUT.needs(w.router, "pomdp") and not LAYOUT.calibrates(w.router)
            else []
        ),
        solutions=lambda w: LAYOUT.labelled if LAYOUT.calibrates(w.router) else [],
        reward_model=lambda w: LAYOUT.scoring([w.router]),
        models=LAYOUT.models(),
    output:
        "results/routers/{benchmark}/{router}.json",
        "results/routers/{benchmark}/{router}.safetensors",
        draws=LAYOUT.fit_draws("{benchmark}", "{router}"),
    log:
        "logs/fit/{benchmark}/{router}.log",
    benchmark:
        "benchmarks/fit/{benchmark}/{router}.tsv"
    wildcard_constraints:
        router="|".join(LAYOUT.fitted) or "-",
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.fit"),
        router_code=lambda w: router_code(w.router),
        router=lambda w: SECTIONS["routers"][w.router],
        distortion=SECTIONS["models"]["prm"]["distortion"],
        budgets=SECTIONS["evaluation"]["budgets"],
        calibrations=lambda w, input: (
            [f"--calibrations=results/calibration/{w.benchmark}"]
            if input.get("calibration")
            else []
        ),
        solutions=lambda w, input: [
            f"--solutions={path}" for path in input.get("solutions") or []
        ],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim fit --params results/params.yaml --benchmark {wildcards.benchmark:q} --router {wildcards.router:q}"
        " --problems {input.problems:q} {input.layers:q} {input.train:q} {input.explored:q} {params.calibrations:q} {params.solutions:q}"
        " --out {params.out:q} --draws-out {output.draws:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-fit-{wildcards.router:q}.sqlite > {log:q} 2>&1"


# Fitting by training, on the train split; the state after each epoch is kept beside the journal.
rule train:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "train", "validation"),
        logprobs=lambda w: (
            LAYOUT.logprobs(w.benchmark, "train", "validation")
            if LAYOUT.sees_logprobs(w.router)
            else []
        ),
        reward_model=lambda w: LAYOUT.scoring([w.router]),
        models=LAYOUT.models(),
    output:
        "results/routers/{benchmark}/{router}.json",
        "results/routers/{benchmark}/{router}.safetensors",
        draws=LAYOUT.fit_draws("{benchmark}", "{router}"),
        training=directory("results/training/{benchmark}/{router}"),
    log:
        "logs/train/{benchmark}/{router}.log",
    benchmark:
        "benchmarks/train/{benchmark}/{router}.tsv"
    wildcard_constraints:
        router="|".join(LAYOUT.trained) or "-",
    priority: 1
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.train"),
        router_code=lambda w: router_code(w.router),
        router=lambda w: SECTIONS["routers"][w.router],
        distortion=SECTIONS["models"]["prm"]["distortion"],
        budgets=SECTIONS["evaluation"]["budgets"],
        prices=lambda w: (
            LAYOUT.prices if LAYOUT.needs(w.router, "train_logprobs") else ""
        ),
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim train --params results/params.yaml --benchmark {wildcards.benchmark:q} --router {wildcards.router:q}"
        " --problems {input.problems:q} {input.layers:q} {input.logprobs:q} --out {params.out:q} --draws-out {output.draws:q}"
        " --curves {output.training:q} --journal results/.journal/{wildcards.benchmark:q}-train-{wildcards.router:q}.sqlite"
        " > {log:q} 2>&1"


# Of all trainings in one table, so that dvc.yaml need not name routers. A fit is written with its curves; its content,
# unlike a folder's, tells whether anything is new.
rule curves:
    input:
        [f"results/routers/{training}.json" for training in LAYOUT.trainings()],
    output:
        CURVES,
    log:
        "logs/curves.log",
    benchmark:
        "benchmarks/curves.tsv"
    params:
        code=code("trim.stages.curves"),
        trainings=[f"results/training/{training}" for training in LAYOUT.trainings()],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim curves {params.trainings:q} --out {params.out:q} > {log:q} 2>&1"


# What each setting reaches on the validation problems, which `trim serve` lists; only made when it is asked for.
rule operating_points:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "validation")
        + LAYOUT.logprobs(w.benchmark, "validation"),
        fits=lambda w: LAYOUT.fits(w.benchmark),
        draws=lambda w: [
            LAYOUT.fit_draws(w.benchmark, router)
            for router in EXPERIMENT.fitted_on(w.benchmark)
        ],
        reward_models=lambda w: LAYOUT.scoring(EXPERIMENT.routers_on(w.benchmark)),
        models=LAYOUT.models(),
    output:
        points="results/validation/{benchmark}.json",
        by_problem="results/validation/{benchmark}.safetensors",
    log:
        "logs/operating_points/{benchmark}.log",
    benchmark:
        "benchmarks/operating_points/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.operating_points"),
        routers=SECTIONS["routers"],
    shell:
        "trim operating-points --params results/params.yaml --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {input.layers:q} {input.draws:q} --fitted results/routers --out {output.points:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-points.sqlite > {log:q} 2>&1"


rule serving:
    input:
        expand("results/validation/{benchmark}.json", benchmark=BENCHMARKS),


# All that decides the test draws but the fits. Behind a job that must run, Snakemake passes over whatever else is new to
# a rule if all of that job's files are `ancient` to it; `draws` hears of it from here.
rule test_inputs:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "test"),
        reward_models=lambda w: LAYOUT.scoring(EXPERIMENT.routers_on(w.benchmark)),
        models=LAYOUT.models(),
    output:
        touch("results/draws/{benchmark}/test.inputs"),
    params:
        **run_params("trim.stages.draws"),
        routers=SECTIONS["routers"],
        distortion=SECTIONS["models"]["prm"]["distortion"],


# Neither the code of single routers nor the time of what was fitted counts here: after an edit, `episodes` of that
# router makes what the layer lacks, and the other routers' episodes stay.
rule draws:
    input:
        "results/draws/{benchmark}/test.inputs",
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: LAYOUT.layers(w.benchmark, "test"),
        fits=lambda w: [ancient(path) for path in LAYOUT.fits(w.benchmark)],
    output:
        "results/draws/{benchmark}/test.parquet",
    log:
        "logs/draws/{benchmark}.log",
    benchmark:
        "benchmarks/draws/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    shell:
        "trim draws --params results/params.yaml --benchmark {wildcards.benchmark:q} --problems {input.problems:q}"
        " --split test {input.layers:q} --fitted results/routers --out {output:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-test.sqlite > {log:q} 2>&1"
