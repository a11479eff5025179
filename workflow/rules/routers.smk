rule fit:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=lambda w: [
            path
            for split in (["train"] if FITTED[w.kind].trained else []) + ["validation"]
            for path in rollouts(split) + scores(split)
        ],
        calibration=lambda w: calibrations() if FITTED[w.kind].calibrated else [],
        models=models(),
        code=code("trim.stages.fit"),
        router=lambda w: router_code(FITTED[w.kind]),
    output:
        "results/routers/{benchmark}/{kind}.json",
        "results/routers/{benchmark}/{kind}.safetensors",
        draws="results/draws/{benchmark}/fit-{kind}.parquet",
    log:
        "logs/fit/{benchmark}/{kind}.log",
    benchmark:
        "benchmarks/fit/{benchmark}/{kind}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        routers=lambda w: {
            name: config["routers"][name]
            for name in ROUTERS
            if KINDS[name].name == w.kind
        },
        distortion=DISTORTION,
        generation=config["generation"],
        budgets=config["evaluation"]["budgets"],
        layers=lambda w, input: [f"--layer {path}" for path in input.layers],
        calibrations=lambda w, input: (
            f"--calibrations results/calibration/{w.benchmark}"
            if input.get("calibration")
            else ""
        ),
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim fit --params {params.experiment} --benchmark {wildcards.benchmark} --kind {wildcards.kind}"
        " --problems {input.problems} {params.layers} {params.calibrations} --out {params.out} --draws-out {output.draws}"
        " --journal results/.journal/{wildcards.benchmark}-fit-{wildcards.kind}.sqlite"
        " > {log} 2>&1"


# The code of single routers is no input here: after an edit, `episodes` of that router makes
# what the layer lacks, and the other routers' episodes stand.
rule draws:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("test") + scores("test"),
        fits=fits(FITTED.values()),
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
        distortion=DISTORTION,
        generation=config["generation"],
        layers=lambda w, input: [f"--layer {path}" for path in input.layers],
    shell:
        "trim draws --params {params.experiment} --problems {input.problems} --split test"
        " {params.layers} --fits results/routers/{wildcards.benchmark} --out {output}"
        " --journal results/.journal/{wildcards.benchmark}-test.sqlite > {log} 2>&1"
