rule problems:
    input:
        code=code("trim.stages.problems"),
        local=lambda w: config["benchmarks"][w.benchmark].get("path", []),
    output:
        "results/problems/{benchmark}.parquet",
    params:
        source=lambda w: config["benchmarks"][w.benchmark],
    log:
        "logs/problems/{benchmark}.log",
    benchmark:
        "benchmarks/problems/{benchmark}.tsv"
    threads: 1
    shell:
        "trim problems --params {PARAMS} --benchmark {wildcards.benchmark} --out {output} > {log} 2>&1"
