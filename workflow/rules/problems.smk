localrules:
    problems,
    labelled,


rule problems:
    input:
        local=lambda w: SECTIONS["benchmarks"][w.benchmark].get("path") or [],
    output:
        "results/problems/{benchmark}.parquet",
    log:
        "logs/problems/{benchmark}.log",
    benchmark:
        "benchmarks/problems/{benchmark}.tsv"
    params:
        code=code("trim.stages.problems"),
        source=lambda w: SECTIONS["benchmarks"][w.benchmark],
    shell:
        "trim problems --params results/params.yaml --benchmark {wildcards.benchmark:q} --out {output:q} > {log:q} 2>&1"


rule labelled:
    output:
        "results/problems/processbench.jsonl",
    log:
        "logs/problems/processbench.log",
    benchmark:
        "benchmarks/problems/processbench.tsv"
    params:
        code=code("trim.stages.problems"),
        part=EXPERIMENT.calibration.part,
    shell:
        "trim labelled {params.part:q} --out {output:q} > {log:q} 2>&1"
