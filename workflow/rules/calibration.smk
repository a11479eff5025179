rule calibrate:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=rollouts("train") + scores("train"),
        models=models(),
        solutions=LABELLED,
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
        code=code("trim.stages.calibrate"),
        identities=IDENTITIES,
        calibration=PLAN["calibration"],
        distortion=DISTORTION,
        generation=PLAN["generation"],
        layers=lambda w, input: [f"--layer={path}" for path in input.layers],
        solutions=[f"--solutions={path}" for path in LABELLED],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim calibrate --params {params.experiment:q} --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {params.layers:q} {params.solutions:q} --out {params.out:q} --draws-out {output.draws:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-calibration.sqlite > {log:q} 2>&1"
