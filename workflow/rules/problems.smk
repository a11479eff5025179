localrules:
    problems,
    labelled,


rule problems:
    input:
        code=code("trim.stages.problems"),
        local=lambda w: config["benchmarks"][w.benchmark].get("path") or [],
    output:
        "results/problems/{benchmark}.parquet",
    log:
        "logs/problems/{benchmark}.log",
    benchmark:
        "benchmarks/problems/{benchmark}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        source=lambda w: config["benchmarks"][w.benchmark],
    shell:
        "trim problems --params {params.experiment} --benchmark {wildcards.benchmark} --out {output} > {log} 2>&1"


rule labelled:
    input:
        code=code("trim.stages.problems"),
    output:
        "results/problems/processbench.jsonl",
    log:
        "logs/problems/processbench.log",
    benchmark:
        "benchmarks/problems/processbench.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        part=PART,
    shell:
        "trim labelled {params.part} --out {output} > {log} 2>&1"
