rule calibrate:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("train") + scores("train"),
        models=models(),
        solutions=LABELLED,
        code=code("trim.stages.calibrate"),
    output:
        calibrations(),
        draws="results/calibration/{benchmark}/draws.parquet",
    log:
        "logs/calibrate/{benchmark}.log",
    benchmark:
        "benchmarks/calibrate/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    resources:
        **EVERY_MODEL,
    params:
        experiment=PARAMS,
        calibration=config["calibration"],
        distortion=DISTORTION,
        generation=config["generation"],
        layers=lambda w, input: [f"--layer {path}" for path in input.layers],
        solutions=[f"--solutions {path}" for path in LABELLED],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim calibrate --params {params.experiment} --benchmark {wildcards.benchmark}"
        " --problems {input.problems} {params.layers} {params.solutions} --out {params.out} --draws-out {output.draws}"
        " --journal results/.journal/{wildcards.benchmark}-calibration.sqlite > {log} 2>&1"
