rule calibrate:
    input:
        problems="results/problems/{benchmark}.parquet",
        layers=LAYOUT.alone("{benchmark}", "train"),
        models=LAYOUT.models(),
        solutions=LAYOUT.labelled,
    output:
        LAYOUT.calibrations("{benchmark}"),
        draws="results/calibration/{benchmark}/draws.parquet",
    log:
        "logs/calibrate/{benchmark}.log",
    benchmark:
        "benchmarks/calibrate/{benchmark}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.calibrate"),
        calibration=SECTIONS["calibration"],
        distortion=SECTIONS["models"]["prm"]["distortion"],
        solutions=[f"--solutions={path}" for path in LAYOUT.labelled],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim calibrate --params results/params.yaml --benchmark {wildcards.benchmark:q}"
        " --problems {input.problems:q} {input.layers:q} {params.solutions:q} --out {params.out:q} --draws-out {output.draws:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-calibration.sqlite > {log:q} 2>&1"
