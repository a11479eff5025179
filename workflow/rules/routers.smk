rule fit:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("validation") + scores("validation"),
        calibration=lambda w: (
            calibrations() if EXPERIMENT.kind(w.router).calibrated else []
        ),
        models=models(),
        code=code("trim.stages.fit"),
        router=lambda w: router_code(w.router),
    output:
        fitted="results/routers/{benchmark}/{router}.json",
        arrays="results/routers/{benchmark}/{router}.safetensors",
        draws="results/draws/{benchmark}/fit-{router}.parquet",
    log:
        "logs/fit/{benchmark}/{router}.log",
    benchmark:
        "benchmarks/fit/{benchmark}/{router}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        router=lambda w: config["routers"][w.router],
        generation=config["generation"],
        budgets=config["evaluation"]["budgets"],
        layers=lambda w, input: [f"--layer {path}" for path in input.layers],
        calibrations=lambda w, input: (
            f"--calibrations results/calibration/{w.benchmark}"
            if input.get("calibration")
            else ""
        ),
    shell:
        "trim fit --params {params.experiment} --benchmark {wildcards.benchmark} --router {wildcards.router}"
        " --problems {input.problems} {params.layers} {params.calibrations} --out {output.fitted} --draws-out {output.draws}"
        " --journal results/.journal/{wildcards.benchmark}-fit-{wildcards.router}.sqlite"
        " > {log} 2>&1"


# The code of single routers is no input here: after an edit, `episodes` of that router makes
# what the layer lacks, and the other routers' episodes stand.
rule draws:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("test") + scores("test"),
        fitted=fitted(FITTED),
        models=models(),
        code=code("trim.stages.draws"),
    output:
        "results/draws/{benchmark}/test.parquet",
    log:
        "logs/draws/{benchmark}.log",
    benchmark:
        "benchmarks/draws/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        routers=config["routers"],
        generation=config["generation"],
        layers=lambda w, input: [f"--layer {path}" for path in input.layers],
        fitted=lambda w, input: [
            f"--fitted {name}={path}" for name, path in zip(FITTED, input.fitted)
        ],
    shell:
        "trim draws --params {params.experiment} --problems {input.problems} --split test"
        " {params.layers} {params.fitted} --out {output}"
        " --journal results/.journal/{wildcards.benchmark}-test.sqlite > {log} 2>&1"
